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

void append_head(std::string& out, std::uint32_t field, std::size_t content) {
  pb::append_varint(out, pb::tag_of(field, pb::kLen));
  pb::append_varint(out, content);
}

}  // namespace

void frame_trace(std::vector<FrameSpan>& spans, std::string& out) {
  group_spans(spans);
  // Sizes first, so that each length is written once and in its shortest form, and `out` takes the memory it needs.
  std::vector<std::size_t> sizes;  // contents in the order they are written: of a resource, then of each of its scopes
  std::size_t framed = 0;
  for (std::size_t i = 0; i < spans.size();) {
    const ByteView resource = spans[i].resource;
    const std::size_t at = sizes.size();
    sizes.push_back(resource.size());
    while (i < spans.size() && same(spans[i].resource, resource)) {
      const ByteView scope = spans[i].scope;
      std::size_t scope_size = scope.size();
      for (; i < spans.size() && same(spans[i].resource, resource) && same(spans[i].scope, scope); ++i) {
        scope_size += field_size(spans[i].size());
      }
      sizes.push_back(scope_size);
      sizes[at] += field_size(scope_size);
    }
    framed += field_size(sizes[at]);
  }
  out.reserve(out.size() + framed);
  auto size = sizes.begin();
  for (std::size_t i = 0; i < spans.size();) {
    const ByteView resource = spans[i].resource;
    std::size_t resource_left = *size - resource.size();
    append_head(out, otlp::request::kResourceSpans, *size++);
    out.append(resource);
    while (resource_left != 0) {
      const ByteView scope = spans[i].scope;
      std::size_t scope_left = *size - scope.size();
      resource_left -= field_size(*size);
      append_head(out, otlp::resource_spans::kScopeSpans, *size++);
      out.append(scope);
      for (; scope_left != 0; ++i) {
        append_head(out, otlp::scope_spans::kSpans, spans[i].size());
        out.append(spans[i].span).append(spans[i].tail);
        scope_left -= field_size(spans[i].size());
      }
    }
  }
}

}  // namespace tailgate
