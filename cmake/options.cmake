# Flags that every target of ours shares. Third-party headers come in as SYSTEM and see no warnings.

add_library(keepstore_options INTERFACE)
add_library(keepstore::options ALIAS keepstore_options)
target_include_directories(keepstore_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(keepstore_options INTERFACE
    BOOST_ASIO_NO_DEPRECATED
    BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=8
    BOOST_ASIO_SEPARATE_COMPILATION
    BOOST_ERROR_CODE_HEADER_ONLY
    BOOST_EXCEPTION_DISABLE
    SPDLOG_FMT_EXTERNAL
    _GLIBCXX_ASSERTIONS
    KEEPSTORE_VERSION="${PROJECT_VERSION}")
target_compile_options(keepstore_options INTERFACE
    -Wall -Wextra -Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor
    -Woverloaded-virtual -fstack-protector-strong -fstack-clash-protection -fcf-protection=full)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(keepstore_options INTERFACE
        -Wno-missing-designated-field-initializers)
endif()
if(NOT KEEPSTORE_BATCHES)
    # Between the files of a batch names are shadowed that no compiler sees together otherwise; dev, one by one, warns.
    target_compile_options(keepstore_options INTERFACE -Wshadow)
endif()
if(KEEPSTORE_WERROR)
    target_compile_options(keepstore_options INTERFACE -Werror)
endif()
# Everything we link is a position-independent executable; one spelling of it for libraries and programs alike, so that
# they can share the precompiled header.
target_compile_options(keepstore_options INTERFACE -fPIE)
target_link_options(keepstore_options INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
target_link_libraries(keepstore_options INTERFACE Threads::Threads Boost::headers fmt::fmt)

if(KEEPSTORE_SANITIZE)
    target_compile_options(keepstore_options INTERFACE
        -fsanitize=${KEEPSTORE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(keepstore_options INTERFACE -fsanitize=${KEEPSTORE_SANITIZE})
elseif(CMAKE_BUILD_TYPE MATCHES "Rel")
    target_compile_definitions(keepstore_options INTERFACE _FORTIFY_SOURCE=3)
endif()

# One precompiled header (Asio coroutines and the standard library) for all targets: a third of the build time. Tests have
# one of their own (tests/CMakeLists.txt).
add_library(keepstore_pch STATIC ${PROJECT_SOURCE_DIR}/cmake/pch.cpp)
target_link_libraries(keepstore_pch PRIVATE keepstore::options)
# Without the time stamp a header that was only touched does not rebuild everything.
target_compile_options(keepstore_pch PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
target_precompile_headers(keepstore_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.hpp)

# Much of a compilation is spent on templates that all files of a target use, again for each. Up to 30 at a time share that,
# in batches of equal size; one of which a file changed compiles in less than half a minute. Names in unnamed namespaces must
# differ within a target.
function(keepstore_batches target)
    if(KEEPSTORE_BATCHES)
        get_target_property(sources ${target} SOURCES)
        list(LENGTH sources files)
        math(EXPR batches "(${files} + 29) / 30")
        math(EXPR size "(${files} + ${batches} - 1) / ${batches}")
        set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${size})
    endif()
endfunction()

# What the libraries of ours have in common.
function(keepstore_library_options library)
    keepstore_batches(${library})
    target_precompile_headers(${library} REUSE_FROM keepstore_pch)
endfunction()

# keepstore_module(NAME SOURCES... LINK targets... [COLD_SOURCES...]): a static library `keepstore_NAME`, alias
# `keepstore::NAME`. COLD_SOURCES: code that runs at the start, for an operator, in the background, or around something that
# costs a hundred times as much: a request to a distant service, a durable write. Less of it is inlined, which takes a fifth
# to a third off its compilation. With a threshold of 100 for the rest as well a GET of 4 KiB took 2 to 3 % more CPU. -O1 took
# nothing measurable off a whole build, no line numbers 2 to 4 %: not worth worse stack traces.
function(keepstore_module name)
    cmake_parse_arguments(arg "" "" "SOURCES;COLD_SOURCES;LINK;LINK_PRIVATE" ${ARGN})
    set(libraries keepstore_${name})
    set(cold keepstore_${name})
    if(arg_SOURCES AND arg_COLD_SOURCES)
        # A compiler option is one of a target.
        set(cold keepstore_${name}_cold)
        list(APPEND libraries ${cold})
        add_library(${cold} OBJECT ${arg_COLD_SOURCES})
        add_library(keepstore_${name} STATIC ${arg_SOURCES} $<TARGET_OBJECTS:${cold}>)
    else()
        add_library(keepstore_${name} STATIC ${arg_SOURCES} ${arg_COLD_SOURCES})
    endif()
    add_library(keepstore::${name} ALIAS keepstore_${name})
    if(arg_COLD_SOURCES AND CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND CMAKE_BUILD_TYPE STREQUAL "Release")
        target_compile_options(${cold} PRIVATE "SHELL:-mllvm -inline-threshold=25")
    endif()
    foreach(library IN LISTS libraries)
        target_link_libraries(${library} PUBLIC keepstore::options ${arg_LINK} PRIVATE ${arg_LINK_PRIVATE})
        keepstore_library_options(${library})
    endforeach()
endfunction()
