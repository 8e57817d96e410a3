// SPDX-License-Identifier: Apache-2.0
// hash_bytes for long inputs on processors with AVX2, where it is more than twice as fast. Only hash.cc calls it. The
// source is compiled with -mavx2, so it may have no inline function that other objects have as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tailgate {

inline constexpr std::size_t kHashLongBytes = 240;  // XXH3 hashes what is longer in stripes

#if defined(__x86_64__)
// Only if __builtin_cpu_supports("avx2").
std::uint64_t hash_bytes_avx2(std::string_view bytes, std::uint64_t seed);
#endif

}  // namespace tailgate
