# Writes OUTPUT, a C file that defines the table of worker/scripts.h from the Lua files SCRIPTS.
# Bytes are written as hex, so that no character of a script needs escaping.
set(rows "")
set(arrays "")
foreach(script IN LISTS SCRIPTS)
    get_filename_component(name ${script} NAME_WE)
    file(READ ${script} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const char ${name}_text[] = {${bytes}0};\n")
    string(APPEND rows "    {\"${name}\", ${name}_text, sizeof(${name}_text) - 1},\n")
endforeach()
file(WRITE ${OUTPUT} "/* Generated from worker/scripts/ by cmake/embed_scripts.cmake. */
#include \"worker/scripts.h\"

${arrays}
const struct store_script scripts_table[] = {
${rows}};
const size_t scripts_count = sizeof(scripts_table) / sizeof(scripts_table[0]);
")
