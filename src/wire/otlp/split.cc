// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/split.h"

#include <set>
#include <tuple>
#include <utility>

#include "codec/protobuf.h"
#include "wire/otlp/schema.h"
#include "wire/otlp/span_view.h"

namespace tailgate {
namespace {

// A field's tag and length at most, twice: of ResourceSpans and of ScopeSpans.
constexpr std::size_t kHeads = 2 * (1 + 5);

// Splits a message into the content of its fields `number` (calls take) and all other fields with their tags.
template <class Take>
bool each_of(ByteView message, std::uint32_t number, std::string& others, Take take) {
  const char* p = message.data();
  const char* const end = p + message.size();
  while (p < end) {
    const char* const begin = p;
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return false;
    if (tag == pb::tag_of(number, pb::kLen)) {
      ByteView content;
      if (!pb::read_len(p, end, content) || !take(content)) return false;
    } else {
      if (!pb::skip_value(p, end, tag)) return false;
      others.append(begin, p);
    }
  }
  return true;
}

std::size_t span_cost(const FrameSpan& span) { return span.size() + 1 + pb::varint_size(span.size()); }

}  // namespace

bool read_otlp_spans(ByteView otlp, OtlpSpans& out) {
  std::string ignored;
  return each_of(otlp, otlp::request::kResourceSpans, ignored, [&](ByteView resource_spans) {
    std::string& resource = *out.prefixes.emplace_back(std::make_unique<std::string>());
    const std::size_t first = out.spans.size();
    const bool ok = each_of(resource_spans, otlp::resource_spans::kScopeSpans, resource, [&](ByteView scope_spans) {
      std::string& scope = *out.prefixes.emplace_back(std::make_unique<std::string>());
      const std::size_t begin = out.spans.size();
      if (!each_of(scope_spans, otlp::scope_spans::kSpans, scope, [&](ByteView span) {
            out.spans.push_back({{}, {}, span});
            return true;
          })) {
        return false;
      }
      for (std::size_t i = begin; i < out.spans.size(); ++i) out.spans[i].scope = scope;
      return true;
    });
    for (std::size_t i = first; i < out.spans.size(); ++i) out.spans[i].resource = resource;
    return ok;
  });
}

DroppedSpans drop_same_spans(std::string& otlp) {
  OtlpSpans all;
  if (!read_otlp_spans(otlp, all)) return {};
  std::set<std::tuple<ByteView, ByteView, ByteView>> seen;
  DroppedSpans gone;
  SpanView view;
  gone.spans = std::erase_if(all.spans, [&](const FrameSpan& one) {
    if (seen.emplace(one.span, one.resource, one.scope).second) return false;
    if (read_span_view(one.span, view) && view.status_code == static_cast<std::uint32_t>(StatusCode::kError))
      ++gone.errors;
    return true;
  });
  if (gone.spans == 0) return {};
  std::string out;
  out.reserve(otlp.size());
  frame_trace(all.spans, out);
  otlp = std::move(out);
  return gone;
}

void split_otlp(ByteView otlp, std::size_t bytes_max, std::vector<OtlpPiece>& out) {
  OtlpSpans all;
  if (!read_otlp_spans(otlp, all)) {
    out.push_back({std::string(otlp), 0});
    return;
  }
  std::vector<FrameSpan> taken;
  std::size_t size = 0;  // of the piece at most
  const auto flush = [&] {
    if (taken.empty()) return;
    OtlpPiece& piece = out.emplace_back();
    piece.spans = static_cast<std::uint32_t>(taken.size());
    frame_trace(taken, piece.otlp);
    taken.clear();
    size = 0;
  };
  for (const FrameSpan& span : all.spans) {
    const bool new_resource = taken.empty() || taken.back().resource.data() != span.resource.data();
    const bool new_scope = new_resource || taken.back().scope.data() != span.scope.data();
    const std::size_t prefix = (new_resource ? span.resource.size() : 0) + (new_scope ? span.scope.size() + kHeads : 0);
    if (size + prefix + span_cost(span) > bytes_max) flush();
    if (taken.empty())
      size = span.resource.size() + span.scope.size() + kHeads;
    else
      size += prefix;
    size += span_cost(span);
    taken.push_back(span);
  }
  flush();
}

}  // namespace tailgate
