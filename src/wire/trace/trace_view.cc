// SPDX-License-Identifier: Apache-2.0
#include "wire/trace/trace_view.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "base/hash.h"
#include "wire/otlp/schema.h"
#include "wire/otlp/split.h"

namespace tailgate {
namespace {

// Strangers choose ids and names.
struct SeededHash {
  std::uint64_t seed = random_seed();
  std::size_t operator()(ByteView bytes) const { return static_cast<std::size_t>(hash_bytes(bytes, seed)); }
};
template <class T>
using ByBytes = std::unordered_map<ByteView, T, SeededHash>;

bool is_zero(ByteView id) { return id.find_first_not_of('\0') == ByteView::npos; }

std::size_t items_of(const SpanView& span) {
  std::size_t items = span.attributes.size() + span.events.size() + span.links.size();
  for (const EventView& event : span.events) items += event.attributes.size();
  for (const LinkView& link : span.links) items += link.attributes.size();
  return items;
}

ByteView service_name(const ResourceView& resource) {
  const AttributeValue* const name = find_attribute(resource.attributes, "service.name");
  return name != nullptr && name->kind == AttributeValue::Kind::kString ? name->bytes : ByteView();
}

}  // namespace

class TraceView::Reader {
 public:
  explicit Reader(TraceView& out) : out_(out) {}

  bool read(ByteView otlp, const TraceViewLimits& limits) {
    OtlpSpans all;
    if (!read_otlp_spans(otlp, all)) return false;
    out_.spans_.reserve(std::min(all.spans.size(), limits.spans_max));
    ByBytes<std::uint32_t> resources, scopes;
    ByBytes<bool> seen;
    std::size_t items = 0;
    for (const FrameSpan& framed : all.spans) {
      if (!seen.emplace(framed.span, true).second) {
        ++out_.repeated_;
        continue;
      }
      if (out_.spans_.size() == limits.spans_max || items >= limits.items_max) {
        ++out_.left_out_;
        continue;
      }
      Span& span = out_.spans_.emplace_back();
      if (!read_span_view(framed.span, span)) {
        out_.spans_.pop_back();
        ++out_.unreadable_;
        continue;
      }
      items += items_of(span);
      span.bytes = framed.span;
      span.resource = number_of(framed.resource, resources, out_.resources_, read_resource_view, items);
      span.scope = number_of(framed.scope, scopes, out_.scopes_, read_scope_view, items);
      span.duration_ns =
          static_cast<std::uint64_t>(std::max<std::int64_t>(0, tailgate::duration_ns(span.start_ns, span.end_ns)));
      span.parentless = is_zero(span.parent_span_id);
    }
    out_.prefixes_ = std::move(all.prefixes);
    sort();
    gather();
    link_parents();
    cut_circles();
    link_children();
    number();
    return true;
  }

 private:
  template <class View>
  static std::uint32_t number_of(ByteView prefix, ByBytes<std::uint32_t>& numbers, std::vector<View>& views,
                                 View (*read_view)(ByteView), std::size_t& items) {
    const auto [at, is_new] = numbers.emplace(prefix, static_cast<std::uint32_t>(views.size()));
    if (is_new) items += views.emplace_back(read_view(prefix)).attributes.size();
    return at->second;
  }

  void sort() {
    std::vector<Span>& spans = out_.spans_;
    const auto earlier = [](const Span& a, const Span& b) { return a.start_ns < b.start_ns; };
    if (std::is_sorted(spans.begin(), spans.end(), earlier)) return;
    std::vector<std::uint32_t> order(spans.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return earlier(spans[a], spans[b]); });
    std::vector<Span> sorted;
    sorted.reserve(spans.size());
    for (const std::uint32_t i : order) sorted.push_back(std::move(spans[i]));
    spans = std::move(sorted);
  }

  // What the trace says as a whole.
  void gather() {
    for (const ResourceView& resource : out_.resources_) out_.service_names_.push_back(service_name(resource));
    ByBytes<std::size_t> numbers;
    for (std::uint32_t i = 0; i < out_.spans_.size(); ++i) {
      const Span& span = out_.spans_[i];
      const bool error = span.status_code == static_cast<std::uint32_t>(StatusCode::kError);
      ++out_.facts_.spans;
      out_.facts_.errors += error ? 1 : 0;
      out_.facts_.root_seen |= span.parentless;
      out_.facts_.take_times(span.start_ns, span.end_ns);
      if (span.parentless && out_.root_ == kNone) out_.root_ = i;
      const auto [at, is_new] = numbers.emplace(out_.service_of(span), out_.services_.size());
      if (is_new) out_.services_.push_back({at->first, 0, 0});
      Service& service = out_.services_[at->second];
      ++service.spans;
      service.errors += error ? 1 : 0;
    }
    std::sort(out_.services_.begin(), out_.services_.end(),
              [](const Service& a, const Service& b) { return a.name < b.name; });
  }

  void link_parents() {
    struct SameId {
      std::uint32_t first = kNone, server = kNone, client = kNone;
    };
    ByBytes<SameId> by_id;
    for (std::uint32_t i = 0; i < out_.spans_.size(); ++i) {
      const Span& span = out_.spans_[i];
      SameId& same = by_id[span.span_id];
      if (same.first == kNone) same.first = i;
      const auto kind = static_cast<SpanKind>(span.kind);
      if (kind == SpanKind::kServer && same.server == kNone) same.server = i;
      if (kind == SpanKind::kClient && same.client == kNone) same.client = i;
    }
    for (std::uint32_t i = 0; i < out_.spans_.size(); ++i) {
      Span& span = out_.spans_[i];
      if (span.parentless) continue;
      if (const SameId& same = by_id[span.span_id]; same.server == i && same.client != kNone) {
        span.parent = same.client;
        continue;
      }
      const auto found = by_id.find(span.parent_span_id);
      if (found == by_id.end()) {
        ++out_.orphans_;
        continue;
      }
      const SameId& parent = found->second;
      span.parent = parent.server != kNone && parent.client != kNone ? parent.server : parent.first;
    }
  }

  void cut_circles() {
    std::vector<std::uint32_t> walk(out_.spans_.size(), kNone);  // the span where the walk began that came here
    for (std::uint32_t start = 0; start < walk.size(); ++start) {
      std::uint32_t i = start;
      while (i != kNone && walk[i] == kNone) {
        walk[i] = start;
        i = out_.spans_[i].parent;
      }
      if (i == kNone || walk[i] != start) continue;
      std::uint32_t first = i;
      for (std::uint32_t k = out_.spans_[i].parent; k != i; k = out_.spans_[k].parent) first = std::min(first, k);
      out_.spans_[first].parent = kNone;
    }
  }

  void link_children() {
    for (std::uint32_t i = static_cast<std::uint32_t>(out_.spans_.size()); i-- > 0;) {
      Span& span = out_.spans_[i];
      if (span.parent == kNone) continue;
      Span& parent = out_.spans_[span.parent];
      span.next_sibling = parent.first_child;
      parent.first_child = i;
      ++parent.children;
    }
  }

  void number() {
    std::int32_t n = 0;
    for (std::uint32_t root = 0; root < out_.spans_.size(); ++root) {
      if (!out_.spans_[root].parentless) continue;
      std::uint32_t i = root;
      const auto enter = [&](std::uint32_t span, std::int32_t above) {
        out_.spans_[span].nested_left = ++n;
        out_.spans_[span].nested_parent = above;
        out_.tree_.push_back(span);
      };
      enter(i, -1);
      while (true) {
        const std::uint32_t down = out_.spans_[i].first_child;
        if (down != kNone) {
          enter(down, out_.spans_[i].nested_left);
          i = down;
          continue;
        }
        while (i != root && out_.spans_[i].next_sibling == kNone) {
          out_.spans_[i].nested_right = ++n;
          i = out_.spans_[i].parent;
        }
        out_.spans_[i].nested_right = ++n;
        if (i == root) break;
        i = out_.spans_[i].next_sibling;
        enter(i, out_.spans_[out_.spans_[i].parent].nested_left);
      }
    }
  }

  TraceView& out_;
};

Result<TraceView> TraceView::read(ByteView otlp, const TraceViewLimits& limits) {
  TraceView out;
  if (!Reader(out).read(otlp, limits))
    return fail(ErrorKind::kBadInput, "expected spans as OTLP bytes, got bytes that do not parse");
  return out;
}

std::uint64_t TraceView::duration_ns() const {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, facts_.duration_ns()));
}

}  // namespace tailgate
