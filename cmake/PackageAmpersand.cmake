# What `find_package(Ampersand)` finds after `cmake --install`.
include(CMakePackageConfigHelpers)
set(AMP_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/Ampersand")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/AmpersandConfig.cmake.in"
                              "${PROJECT_BINARY_DIR}/AmpersandConfig.cmake" INSTALL_DESTINATION "${AMP_PACKAGE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/AmpersandConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/AmpersandConfig.cmake" "${PROJECT_BINARY_DIR}/AmpersandConfigVersion.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FindLibTorch.cmake" DESTINATION "${AMP_PACKAGE_DIR}")
install(EXPORT AmpersandTargets NAMESPACE Ampersand:: DESTINATION "${AMP_PACKAGE_DIR}")
