// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <sys/random.h>
#include <xxhash.h>

#include <ctime>

#include "base/hash_avx2.h"

namespace tailgate {

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
#if defined(__x86_64__)
  if (bytes.size() > kHashLongBytes) {
    static const bool avx2 = __builtin_cpu_supports("avx2") != 0;
    if (avx2) return hash_bytes_avx2(bytes, seed);
  }
#endif
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) == sizeof seed) return seed;
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_nsec) * 0x9e3779b97f4a7c15ULL ^ reinterpret_cast<std::uintptr_t>(&seed);
}

}  // namespace tailgate
