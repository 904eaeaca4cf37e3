# fulfilld_library(name SOURCES a.c … [USES targets…] [VENDORS targets…])
# A static layer library. USES are our own layers below it (public), VENDORS stay private.
function(fulfilld_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES;VENDORS" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC fulfilld_build ${ARG_USES} PRIVATE ${ARG_VENDORS})
endfunction()

# add_fulfilld_test(name [SOURCES …] [LINKS …] [LABEL unit] [ARGS …])
# A cmocka executable test_<name> from test_<name>.c (or SOURCES), registered with ctest.
# The only registration of C tests.
function(add_fulfilld_test name)
    cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LINKS;ARGS" ${ARGN})
    if(NOT ARG_SOURCES)
        set(ARG_SOURCES test_${name}.c)
    endif()
    if(NOT ARG_LABEL)
        set(ARG_LABEL unit)
    endif()
    add_executable(test_${name} ${ARG_SOURCES})
    target_link_libraries(test_${name} PRIVATE fulfilld_build ${ARG_LINKS} PkgConfig::CMOCKA)
    target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    add_test(NAME ${ARG_LABEL}.${name} COMMAND test_${name} ${ARG_ARGS})
    set_tests_properties(${ARG_LABEL}.${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 120)
endfunction()

# fulfilld_embed_scripts(output.c a.lua …): the scripts as the table of worker/scripts.h.
function(fulfilld_embed_scripts output)
    add_custom_command(
        OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} "-DSCRIPTS=${ARGN}"
                -P ${PROJECT_SOURCE_DIR}/cmake/embed_scripts.cmake
        DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/cmake/embed_scripts.cmake
        VERBATIM)
endfunction()
