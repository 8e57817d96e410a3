// SPDX-License-Identifier: Apache-2.0
#include "base/hash_avx2.h"

#if defined(__x86_64__)
#ifndef __AVX2__
#error "this file is compiled with -mavx2"
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tailgate {

std::uint64_t hash_bytes_avx2(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace tailgate
#endif
