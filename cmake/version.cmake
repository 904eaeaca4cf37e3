# version.h, rewritten at build time when the commit changes: FULFILLD_VERSION, FULFILLD_COMMIT.
set(FULFILLD_GENERATED ${PROJECT_BINARY_DIR}/generated)
add_custom_target(fulfilld_version
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
            -DOUTPUT=${FULFILLD_GENERATED}/version.h -P ${PROJECT_SOURCE_DIR}/cmake/write_version.cmake
    BYPRODUCTS ${FULFILLD_GENERATED}/version.h
    VERBATIM)
