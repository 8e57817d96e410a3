// SPDX-License-Identifier: Apache-2.0
// TraceView: a whole stored trace, decoded to be asked about: its spans as plain values with their place in the tree,
// and what a list of traces says of it. Texts stay in the bytes it was read from, which must outlive it. Immutable once
// read; any thread.
//
// Reading costs one pass and a sort, whatever the parent ids are: links never run in a circle, and nothing recurses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/trace_facts.h"
#include "wire/otlp/span_view.h"

namespace tailgate {

// Spans and attributes take more memory decoded than on the wire. What is over a limit is left out from the end.
struct TraceViewLimits {
  std::size_t spans_max = 100'000;
  std::size_t items_max = 4'000'000;  // attributes, events and links together
};

class TraceView {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Span : SpanView {
    ByteView bytes;                         // the Span message
    std::uint32_t resource = 0, scope = 0;  // in resources() and scopes(), shared with other spans
    bool parentless = false;                // the parent id is empty or all zero
    // The span whose id is the parent id. Of spans that share one id as Zipkin's do, the server hangs under the client,
    // and others under the server. kNone: parentless, the parent is not there, or the ids run in a circle and this is
    // the earliest span in it.
    std::uint32_t parent = kNone;
    std::uint32_t first_child = kNone, next_sibling = kNone, children = 0;  // siblings in the order of spans()
    // Numbers of a walk from the parentless spans down, from 1: a span's descendants have numbers between its own.
    // All 0 without a path to a parentless span; above, -1 is the number of no span.
    std::int32_t nested_left = 0, nested_right = 0, nested_parent = 0;
    std::uint64_t duration_ns = 0;  // 0 where the end is before the start, or one of them is not a time

    bool in_tree() const { return nested_left != 0; }
  };
  struct Service {
    ByteView name;  // "" where the resource has none
    std::uint32_t spans = 0, errors = 0;
  };

  // Reads `resource_spans` fields, of several parts one after the other too. Spans that are equal byte for byte count
  // once; others with equal ids stay. Fails when the bytes around the spans are malformed.
  static Result<TraceView> read(ByteView otlp, const TraceViewLimits& limits = {});
  static Result<TraceView> read(std::string&& otlp, const TraceViewLimits& limits = {}) = delete;  // must outlive it

  ByteView id() const { return spans_.empty() ? ByteView() : spans_[0].trace_id; }
  const std::vector<Span>& spans() const { return spans_; }  // by start, then as they came
  const std::vector<ResourceView>& resources() const { return resources_; }
  const std::vector<ScopeView>& scopes() const { return scopes_; }
  const ResourceView& resource(const Span& span) const { return resources_[span.resource]; }
  const ScopeView& scope(const Span& span) const { return scopes_[span.scope]; }
  ByteView service_of(const Span& span) const { return service_names_[span.resource]; }

  const std::vector<std::uint32_t>& tree() const { return tree_; }  // the spans in_tree(), parents before children
  const Span* root() const { return root_ == kNone ? nullptr : &spans_[root_]; }  // the first parentless span
  ByteView root_service() const { return root() == nullptr ? ByteView() : service_of(*root()); }
  ByteView root_name() const { return root() == nullptr ? ByteView() : root()->name; }

  std::uint64_t start_ns() const { return facts_.first_start_ns(); }  // 0: no span has one
  std::uint64_t end_ns() const { return facts_.end_max_ns; }
  std::uint64_t duration_ns() const;  // from the first start to the last end, never negative
  std::uint32_t errors() const { return facts_.errors; }
  std::uint32_t orphans() const { return orphans_; }                  // spans whose parent is not there
  const std::vector<Service>& services() const { return services_; }  // by name
  std::size_t spans_left_out() const { return left_out_; }            // over a limit
  std::size_t spans_unreadable() const { return unreadable_; }        // malformed
  std::size_t spans_repeated() const { return repeated_; }            // equal to one that is there

 private:
  class Reader;

  std::vector<Span> spans_;
  std::vector<ResourceView> resources_;
  std::vector<ByteView> service_names_;  // of each resource
  std::vector<ScopeView> scopes_;
  std::vector<std::unique_ptr<std::string>> prefixes_;  // which resources and scopes refer to
  std::vector<std::uint32_t> tree_;
  std::vector<Service> services_;
  TraceFacts facts_;
  std::uint32_t root_ = kNone, orphans_ = 0;
  std::size_t left_out_ = 0, unreadable_ = 0, repeated_ = 0;
};

}  // namespace tailgate
