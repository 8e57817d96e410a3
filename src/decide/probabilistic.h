// The threshold of the probabilistic policy, apart so that tests can hold it against contrib's.
#pragma once

#include <cstdint>

namespace tailgate {

// The largest hash that is kept at `percentage`. 0 keeps only a hash of 0; 100 and more keep all.
std::uint64_t probabilistic_threshold(double percentage);

}  // namespace tailgate
