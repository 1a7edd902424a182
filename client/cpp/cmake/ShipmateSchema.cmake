# shipmate_schema(TARGET FILE...)
#
# Adds a library of the types of plain Cap'n Proto schemas, those that know of no language. What is in
# `ship.capnp` is in `#include "ship.capnp.h"`, in the namespace `ship`. A schema that has a C++ namespace
# already keeps it. Schemas that import each other by relative paths go into one call.

function(shipmate_schema library)
  # What was found below an add_subdirectory is not seen here, and Debian's package cannot be found twice. It
  # sets variables of many names, `target` too.
  if(NOT CAPNP_INCLUDE_DIRECTORY)
    find_package(CapnProto 0.9 REQUIRED QUIET)
    foreach(variable CAPNP_EXECUTABLE CAPNPC_CXX_EXECUTABLE CAPNP_INCLUDE_DIRECTORY)
      set(${variable} ${${variable}} PARENT_SCOPE)
    endforeach()
  endif()
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${library})
  set(copies)
  foreach(file IN LISTS ARGN)
    get_filename_component(file ${file} ABSOLUTE)
    get_filename_component(name ${file} NAME)
    get_filename_component(namespace ${file} NAME_WE)
    # The copy is made again when the schema has changed.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    set(annotation)
    file(STRINGS ${file} annotated REGEX "/capnp/c\\+\\+\\.capnp")
    if(NOT annotated)
      # At the end, so that the lines in error messages are those of the schema.
      string(MAKE_C_IDENTIFIER ${namespace} namespace)
      set(annotation "$import \"/capnp/c++.capnp\".namespace(\"${namespace}\");\n")
    endif()
    file(READ ${file} plain)
    set(copied)
    if(EXISTS ${folder}/${name})
      file(READ ${folder}/${name} copied)
    endif()
    if(NOT copied STREQUAL "${plain}${annotation}")
      file(WRITE ${folder}/${name} "${plain}${annotation}")
    endif()
    list(APPEND copies ${folder}/${name})
  endforeach()

  set(CAPNPC_SRC_PREFIX ${folder})
  set(CAPNPC_OUTPUT_DIR ${folder})
  capnp_generate_cpp(sources headers ${copies})
  add_library(${library} STATIC ${sources} ${headers})
  target_include_directories(${library} SYSTEM PUBLIC ${folder})
  target_link_libraries(${library} PUBLIC CapnProto::capnp-rpc)
endfunction()
