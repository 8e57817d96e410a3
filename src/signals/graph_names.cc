// SPDX-License-Identifier: Apache-2.0
#include "signals/graph_names.h"

#include <algorithm>
#include <bit>

#include "base/hash.h"
#include "codec/utf8.h"
#include "signals/names.h"

namespace tailgate {

std::size_t GraphNames::Hash::operator()(std::string_view text) const { return hash_bytes(text, seed); }

std::size_t GraphNames::known_words(std::size_t max) { return std::bit_ceil(std::max<std::size_t>(1, max / 4)); }

std::size_t GraphNames::bytes_max(std::size_t max) { return max * (2 * kNameBytesMax + 128) + known_words(max) * 8; }

GraphNames::GraphNames(std::size_t max, std::uint64_t seed)
    : max_(max), seed_(seed), known_(known_words(max)), names_(1), numbers_(0, Hash{seed}) {}

std::uint32_t GraphNames::number_of(std::string_view name) {
  const std::string_view text = start_of_text(name, kNameBytesMax);
  if (text.empty()) return 0;
  const std::uint64_t hash = hash_bytes(text, seed_);
  std::atomic<std::uint64_t>& known = known_[word_of(hash)];
  if (full_.load(std::memory_order_acquire) && (known.load(std::memory_order_relaxed) & bit_of(hash)) == 0) return 0;
  const MutexLock lock(mutex_);
  if (const auto found = numbers_.find(text); found != numbers_.end()) {
    names_[found->second].idle = false;
    return found->second;
  }
  if (numbers_.size() == max_) return 0;
  auto number = static_cast<std::uint32_t>(names_.size());
  if (!free_.empty()) {
    number = free_.back();
    free_.pop_back();
  } else {
    names_.emplace_back();
  }
  names_[number].text = text;
  numbers_.emplace(text, number);
  known.fetch_or(bit_of(hash), std::memory_order_relaxed);
  full_.store(numbers_.size() == max_, std::memory_order_release);
  return number;
}

std::string GraphNames::text_of(std::uint32_t number) const {
  const MutexLock lock(mutex_);
  return names_[number].text;
}

std::size_t GraphNames::size() const {
  const MutexLock lock(mutex_);
  return numbers_.size();
}

bool GraphNames::is_full() const { return size() >= max_; }

void GraphNames::sweep(const std::vector<bool>& in_use) {
  const MutexLock lock(mutex_);
  for (std::uint32_t number = 1; number < names_.size(); ++number) {
    Name& name = names_[number];
    if (name.text.empty()) continue;
    const bool used = number < in_use.size() && in_use[number];
    if (!used && name.idle) {
      numbers_.erase(name.text);
      name = {};
      free_.push_back(number);
    } else {
      name.idle = !used;
    }
  }
  // No bit of a name that stays is missing for a moment.
  std::vector<std::uint64_t> known(known_.size());
  for (const auto& [text, number] : numbers_) {
    const std::uint64_t hash = hash_bytes(text, seed_);
    known[word_of(hash)] |= bit_of(hash);
  }
  for (std::size_t i = 0; i < known.size(); ++i) known_[i].store(known[i], std::memory_order_relaxed);
  full_.store(numbers_.size() == max_, std::memory_order_release);
}

}  // namespace tailgate
