// SPDX-License-Identifier: Apache-2.0
#include "cluster/homes.h"

#include <algorithm>

#include "base/hash.h"

namespace tailgate {
namespace {

// Parts of the protocol between members: who changes them splits the traces of a cluster in which both run.
constexpr std::uint64_t kNameSeed = 0x7461696c67617465ULL, kIdSeed = 0x686f6d65ULL, kVersionSeed = 0x76696577ULL;

}  // namespace

Homes::Homes(std::vector<std::string> names) : names_(std::move(names)) {
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  std::string all;
  for (const std::string& name : names_) {
    seeds_.push_back(hash_bytes(name, kNameSeed));
    all += name;
    all.push_back('\0');
  }
  if (!names_.empty()) version_ = hash_bytes(all, kVersionSeed);
}

std::size_t Homes::home_of(const TraceId& id) const {
  const std::uint64_t hash = hash_bytes(id.view(), kIdSeed);
  std::size_t best = 0;
  std::uint64_t most = 0;
  for (std::size_t m = 0; m < seeds_.size(); ++m) {
    const std::uint64_t score = mix_bits(hash ^ seeds_[m]);
    if (score <= most) continue;
    most = score;
    best = m;
  }
  return best;
}

std::optional<std::size_t> Homes::index_of(std::string_view name) const {
  const auto at = std::lower_bound(names_.begin(), names_.end(), name);
  if (at == names_.end() || *at != name) return std::nullopt;
  return static_cast<std::size_t>(at - names_.begin());
}

}  // namespace tailgate
