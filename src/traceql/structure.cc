// SPDX-License-Identifier: Apache-2.0
#include "traceql/structure.h"

#include <algorithm>
#include <iterator>

namespace tailgate::traceql {
namespace {

Relation inverse(Relation relation) {
  switch (relation) {
    case Relation::kParent:
      return Relation::kChild;
    case Relation::kChild:
      return Relation::kParent;
    case Relation::kAncestor:
      return Relation::kDescendant;
    case Relation::kDescendant:
      return Relation::kAncestor;
    case Relation::kSibling:
      break;
  }
  return Relation::kSibling;
}

// For each span, whether one of `left` stands in this relation to it. Only what is in the tree is right.
std::vector<bool> marks(const TraceView& trace, Relation relation, const Spans& left) {
  const std::vector<TraceView::Span>& spans = trace.spans();
  std::vector<bool> in_left(spans.size()), out(spans.size());
  for (const std::uint32_t i : left) in_left[i] = spans[i].in_tree();
  const std::vector<std::uint32_t>& tree = trace.tree();
  switch (relation) {
    case Relation::kParent:
    case Relation::kAncestor:
      for (const std::uint32_t i : tree) {
        const std::uint32_t above = spans[i].parent;
        if (above != TraceView::kNone) out[i] = in_left[above] || (relation == Relation::kAncestor && out[above]);
      }
      break;
    case Relation::kChild:
    case Relation::kDescendant:
      for (auto i = tree.rbegin(); i != tree.rend(); ++i) {
        const std::uint32_t above = spans[*i].parent;
        if (above != TraceView::kNone && (in_left[*i] || (relation == Relation::kDescendant && out[*i])))
          out[above] = true;
      }
      break;
    case Relation::kSibling: {
      std::vector<std::uint32_t> children(spans.size());  // in `left`
      for (const std::uint32_t i : left) {
        if (in_left[i] && spans[i].parent != TraceView::kNone) ++children[spans[i].parent];
      }
      for (const std::uint32_t i : tree) {
        const std::uint32_t above = spans[i].parent;
        out[i] = above != TraceView::kNone && children[above] > (in_left[i] ? 1U : 0U);
      }
    }
  }
  return out;
}

Spans filtered(const TraceView& trace, const Spans& spans, const std::vector<bool>& marked, bool wanted) {
  Spans out;
  std::copy_if(spans.begin(), spans.end(), std::back_inserter(out),
               [&](std::uint32_t i) { return trace.spans()[i].in_tree() && marked[i] == wanted; });
  return out;
}

}  // namespace

Spans related(const TraceView& trace, const SetNode& op, const Spans& left, const Spans& right) {
  Spans out = filtered(trace, right, marks(trace, op.relation, left), !op.negated);
  if (!op.both) return out;
  return union_of(out, filtered(trace, left, marks(trace, inverse(op.relation), right), true));
}

Spans union_of(const Spans& a, const Spans& b) {
  Spans out;
  out.reserve(a.size() + b.size());
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

}  // namespace tailgate::traceql
