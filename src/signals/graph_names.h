// SPDX-License-Identifier: Apache-2.0
// GraphNames: names of services and of what they call, by number, so that what waits is small. Number 0 is no name, and
// also what every further name gets when there is no room.
//
// Numbers that nothing uses any more are given again. Who asks for a number holds it for a moment before it can be seen
// in use, so a number goes only when it was in nobody's use at two sweeps and nobody asked for it in between. Sweeps
// are seconds apart; a thread that stood still for longer would see its number under another name.
//
// Threads: any; one lock, taken when a thread does not know a name yet. When there is no room, as where peers' names
// have ids in them and never end, one that is new is turned away without it: a bit of `known_` says that nobody has it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"

namespace tailgate {

class GraphNames {
 public:
  static constexpr std::size_t kNameBytesMax = 256;  // longer ones are cut

  GraphNames(std::size_t max, std::uint64_t seed);
  static std::size_t bytes_max(std::size_t max);

  std::uint32_t number_of(std::string_view name);
  std::string text_of(std::uint32_t number) const;
  std::size_t size() const;
  bool is_full() const;

  // `in_use`, by number, is what was seen in use just now; further numbers are not.
  void sweep(const std::vector<bool>& in_use);

 private:
  struct Name {
    std::string text;   // "": the number is free
    bool idle = false;  // it was not in use at the last sweep, and nobody asked for it since
  };

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const;
    std::uint64_t seed;
  };

  static std::size_t known_words(std::size_t max);
  std::uint64_t bit_of(std::uint64_t hash) const { return std::uint64_t{1} << (hash & 63); }
  std::size_t word_of(std::uint64_t hash) const { return (hash >> 6) & (known_.size() - 1); }

  const std::size_t max_;
  const std::uint64_t seed_;
  std::vector<std::atomic<std::uint64_t>> known_;  // a bit for the hash of each name; some sixteen bits a name
  std::atomic<bool> full_{false};
  mutable Mutex mutex_;
  std::vector<Name> names_ TAILGATE_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> free_ TAILGATE_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> numbers_ TAILGATE_GUARDED_BY(mutex_);
};

}  // namespace tailgate
