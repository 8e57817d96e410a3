# SPDX-License-Identifier: Apache-2.0
# Builds for arm64 on another machine, with Debian's cross compiler and libraries (docs/operations.md#arm64):
#   cmake --preset release -DCMAKE_TOOLCHAIN_FILE=deploy/package/arm64.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
# What the build itself runs, as the tests: qemu-user-static.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
