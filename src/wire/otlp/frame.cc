// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/frame.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>

#include "base/hash.h"
#include "codec/protobuf.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

bool same(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  return a.empty() || a.data() == b.data() || std::memcmp(a.data(), b.data(), a.size()) == 0;
}

// Gives every span a rank by the first arrival of its resource, then of its scope, and sorts by it. Groups are found by
// hash: a hostile trace may bring a resource of its own with every span.
void group_spans(std::vector<FrameSpan>& spans) {
  boost::unordered_flat_map<std::uint64_t, std::uint32_t> resources;
  boost::unordered_flat_map<std::uint64_t, std::uint32_t> scopes;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> ranked;  // rank, index in spans
  ranked.reserve(spans.size());
  std::uint64_t rank = 0;
  bool grouped = true;  // as they came
  for (std::uint32_t i = 0; i < spans.size(); ++i) {
    const bool run =
        i != 0 && same(spans[i - 1].resource, spans[i].resource) && same(spans[i - 1].scope, spans[i].scope);
    if (!run) {
      // A collision of 64 bits only puts two groups side by side: frame_trace compares the bytes again.
      const std::uint64_t resource_hash = hash_bytes(spans[i].resource, 1);
      const std::uint64_t scope_hash = hash_bytes(spans[i].scope, resource_hash);
      const std::uint32_t r =
          resources.try_emplace(resource_hash, static_cast<std::uint32_t>(resources.size())).first->second;
      const std::uint32_t s = scopes.try_emplace(scope_hash, static_cast<std::uint32_t>(scopes.size())).first->second;
      rank = static_cast<std::uint64_t>(r) << 32 | s;
    }
    grouped &= ranked.empty() || ranked.back().first <= rank;
    ranked.emplace_back(rank, i);
  }
  if (grouped) return;
  std::sort(ranked.begin(), ranked.end());
  std::vector<FrameSpan> sorted;
  sorted.reserve(spans.size());
  for (const auto& [r, i] : ranked) sorted.push_back(spans[i]);
  spans.swap(sorted);
}

std::size_t field_size(std::size_t content) { return 1 + pb::varint_size(content) + content; }

// Larger than the framed trace by what groups save that do not stand together.
std::size_t framed_size_bound(const std::vector<FrameSpan>& spans) {
  constexpr std::size_t kHeads = 2 * (1 + 5);  // tag and length of a resource and a scope
  std::size_t size = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    size += field_size(spans[i].size());
    if (i == 0 || spans[i].resource.data() != spans[i - 1].resource.data() ||
        spans[i].scope.data() != spans[i - 1].scope.data()) {
      size += spans[i].resource.size() + spans[i].scope.size() + kHeads;
    }
  }
  return size;
}

}  // namespace

void frame_trace(std::vector<FrameSpan>& spans, std::string& out) {
  group_spans(spans);
  out.reserve(out.size() + framed_size_bound(spans));
  std::vector<std::size_t> scope_sizes;  // content sizes, in the order they are written
  for (std::size_t i = 0; i < spans.size();) {
    // Sizes first, so that each length is written once and in its shortest form.
    scope_sizes.clear();
    std::size_t resource_size = spans[i].resource.size();
    std::size_t j = i;
    while (j < spans.size() && same(spans[j].resource, spans[i].resource)) {
      const ByteView scope = spans[j].scope;
      std::size_t scope_size = scope.size();
      for (; j < spans.size() && same(spans[j].resource, spans[i].resource) && same(spans[j].scope, scope); ++j) {
        scope_size += field_size(spans[j].size());
      }
      scope_sizes.push_back(scope_size);
      resource_size += field_size(scope_size);
    }
    pb::append_varint(out, pb::tag_of(otlp::request::kResourceSpans, pb::kLen));
    pb::append_varint(out, resource_size);
    out.append(spans[i].resource);
    for (const std::size_t scope_size : scope_sizes) {
      pb::append_varint(out, pb::tag_of(otlp::resource_spans::kScopeSpans, pb::kLen));
      pb::append_varint(out, scope_size);
      const ByteView scope = spans[i].scope;
      out.append(scope);
      for (std::size_t left = scope_size - scope.size(); left != 0; ++i) {
        pb::append_varint(out, pb::tag_of(otlp::scope_spans::kSpans, pb::kLen));
        pb::append_varint(out, spans[i].size());
        out.append(spans[i].span).append(spans[i].tail);
        left -= field_size(spans[i].size());
      }
    }
  }
}

}  // namespace tailgate
