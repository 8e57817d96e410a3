// SPDX-License-Identifier: Apache-2.0
#include "wire/foreign_tag.h"

#include <algorithm>

namespace tailgate {
namespace {

// 0 to 63, by the length and the last bytes: keys of one family begin alike.
unsigned end_hash(ByteView key) {
  std::uint64_t word = 0;
  const std::size_t n = std::min<std::size_t>(key.size(), 8);
  if (n == 8) {
    std::memcpy(&word, key.data() + key.size() - 8, 8);
  } else if (n != 0) {
    std::memcpy(&word, key.data(), n);
  }
  return static_cast<unsigned>((word + key.size()) * 0x9e3779b97f4a7c15ULL >> 58);
}

}  // namespace

void drop_repeats(ForeignTag* tags, std::size_t count, std::vector<std::uint32_t>& order, ByteSink& sink) {
  if (count <= 24) {         // few are compared with each other, many are sorted: a request may hold millions
    std::uint64_t seen = 0;  // a bit for each key before, by its end: most keys need no comparison
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t bit = 1ULL << end_hash(tags[i].key);
      for (std::size_t k = 0; (seen & bit) != 0 && k < i; ++k) {
        if (tags[k].key == tags[i].key) tags[k].gone = true;
      }
      seen |= bit;
    }
    return;
  }
  order.clear();
  for (std::size_t i = 0; i < count; ++i) {
    if (!sink.push(order, static_cast<std::uint32_t>(i))) return;
  }
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    if (tags[a].key.size() != tags[b].key.size()) return tags[a].key.size() < tags[b].key.size();
    const int c = tags[a].key.compare(tags[b].key);
    return c != 0 ? c < 0 : a < b;
  });
  for (std::size_t i = 1; i < count; ++i) {
    if (tags[order[i - 1]].key == tags[order[i]].key) tags[order[i - 1]].gone = true;
  }
}

bool same_ignoring_case(ByteView text, ByteView lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
         });
}

std::uint32_t span_kind_of(ByteView text) {
  if (same_ignoring_case(text, "internal")) return 1;
  if (same_ignoring_case(text, "server")) return 2;
  if (same_ignoring_case(text, "client")) return 3;
  if (same_ignoring_case(text, "producer")) return 4;
  if (same_ignoring_case(text, "consumer")) return 5;
  return 0;
}

ScopeOf take_scope(const ScopeTags& tags) {
  ForeignTag* name = is_text(tags.name) ? tags.name : nullptr;
  ForeignTag* version = name != nullptr ? tags.version : tags.library_version;
  if (name == nullptr) {
    name = is_text(tags.library_name) ? tags.library_name : nullptr;
  } else if (is_text(tags.library_name) && tags.library_name->value.bytes == name->value.bytes) {
    tags.library_name->gone = true;
    if (tags.library_version != nullptr && text_of(tags.library_version) == text_of(version)) {
      tags.library_version->gone = true;
    }
  }
  if (name == nullptr) return {};
  name->gone = true;
  if (!is_text(version)) return {name->value.bytes, {}};
  version->gone = true;
  return {name->value.bytes, version->value.bytes};
}

}  // namespace tailgate
