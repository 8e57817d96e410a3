// SPDX-License-Identifier: Apache-2.0
#include "store/id_filter.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "base/hash.h"
#include "base/replace_file.h"
#include "blocks/format.h"

namespace tailgate {
namespace {

constexpr std::string_view kIdFilterMagic = "tgidset\1";
constexpr unsigned kProbes = 6;

}  // namespace

void IdFilter::add(const TraceId& id) {
  std::uint64_t h = hash_bytes(id.view(), 0);
  const std::uint64_t step = hash_bytes(id.view(), 1) | 1;
  for (unsigned i = 0; i != kProbes; ++i, h += step) {
    words_[(h >> 6) % words_.size()] |= std::uint64_t{1} << (h & 63);
  }
}

bool IdFilter::may_have(const TraceId& id) const {
  std::uint64_t h = hash_bytes(id.view(), 0);
  const std::uint64_t step = hash_bytes(id.view(), 1) | 1;
  for (unsigned i = 0; i != kProbes; ++i, h += step) {
    if ((words_[(h >> 6) % words_.size()] >> (h & 63) & 1) == 0) return false;
  }
  return true;
}

Result<IdFilter> IdFilter::load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const std::string_view all = bytes;
  if (all.size() < kIdFilterMagic.size() + 12 || !all.starts_with(kIdFilterMagic) ||
      (all.size() - kIdFilterMagic.size() - 4) % 8 != 0 ||
      crc32c(all.substr(0, all.size() - 4)) != load_le<std::uint32_t>(all.data() + all.size() - 4)) {
    return fail(ErrorKind::kBadInput, fmt::format("'{}' is missing or damaged", path));
  }
  IdFilter filter;
  filter.words_.clear();
  for (std::size_t at = kIdFilterMagic.size(); at + 8 < all.size(); at += 8) {
    filter.words_.push_back(load_le<std::uint64_t>(all.data() + at));
  }
  return filter;
}

Result<void> IdFilter::save(const std::string& path) const {
  std::string out(kIdFilterMagic);
  for (const std::uint64_t w : words_) append_le(out, w);
  append_le(out, crc32c(out));
  return replace_file(path, out);
}

}  // namespace tailgate
