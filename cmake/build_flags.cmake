# The one INTERFACE target that carries language, warnings, hardening and sanitizers to every target of ours.
add_library(fulfilld_build INTERFACE)
target_compile_features(fulfilld_build INTERFACE c_std_11)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)

target_include_directories(fulfilld_build INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
target_compile_definitions(fulfilld_build INTERFACE _GNU_SOURCE)
target_compile_options(fulfilld_build INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wswitch-enum -Wmissing-prototypes -Wstrict-prototypes
    -Wvla -Wundef -Wformat=2 -fno-common
    $<$<BOOL:${FULFILLD_WERROR}>:-Werror>)

if(FULFILLD_SANITIZE)
    target_compile_options(fulfilld_build INTERFACE
        -fsanitize=${FULFILLD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(fulfilld_build INTERFACE -fsanitize=${FULFILLD_SANITIZE})
elseif(CMAKE_BUILD_TYPE MATCHES "^Rel")
    target_compile_options(fulfilld_build INTERFACE
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
        $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>)
    target_link_options(fulfilld_build INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
    include(CheckPIESupported)
    check_pie_supported()
endif()

if(FULFILLD_COVERAGE)
    target_compile_options(fulfilld_build INTERFACE --coverage)
    target_link_options(fulfilld_build INTERFACE --coverage)
endif()
