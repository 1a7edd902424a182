include(CMakeFindDependencyMacro)
find_dependency(CapnProto 0.9)
include(${CMAKE_CURRENT_LIST_DIR}/shipmateTargets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/ShipmateSchema.cmake)
