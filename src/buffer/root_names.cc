// SPDX-License-Identifier: Apache-2.0
#include "buffer/root_names.h"

#include "base/hash.h"

namespace tailgate {

std::uint32_t RootNames::add(ByteView service, ByteView name, bool& fresh) {
  // Names are cut before they are hashed, so that two that differ only in the part that is not kept share an entry. Two
  // hashes of 64 bits collide once in a lifetime, and then one pair of names is shown for the other.
  service = service.substr(0, kServiceBytes);
  name = name.substr(0, kBytes - service.size());
  const std::uint64_t key = hash_bytes(name, hash_bytes(service, 0x726f6f74));
  const auto [it, inserted] = by_key_.try_emplace(key, 0);
  fresh = inserted;
  if (inserted) {
    if (free_.empty()) {
      entries_.emplace_back();
      it->second = static_cast<std::uint32_t>(entries_.size());
    } else {
      it->second = free_.back();
      free_.pop_back();
    }
    entries_[it->second - 1] = {std::string(service), std::string(name), key, 0};
  }
  ++entries_[it->second - 1].traces;
  return it->second;
}

bool RootNames::remove(std::uint32_t number) {
  Entry& entry = entries_[number - 1];
  if (--entry.traces != 0) return false;
  by_key_.erase(entry.key);
  entry = Entry();
  free_.push_back(number);
  return true;
}

}  // namespace tailgate
