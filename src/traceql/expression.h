// SPDX-License-Identifier: Apache-2.0
// Asks expressions of single spans. A text that it returns holds until the second next id is asked for: ids become hex
// in a buffer. Belongs to one evaluation.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "traceql/ast.h"
#include "traceql/query.h"

namespace tailgate::traceql {

class Expressions {
 public:
  Expressions(const Ast& ast, const TraceView& trace, Steps& steps) : ast_(ast), trace_(trace), steps_(steps) {}

  // Whether the span meets the condition. One and the same event, and link, must meet what is joined by &&.
  bool holds(NodeIndex node, std::uint32_t span);

  // Of an attribute of events or links, that of the first that has it.
  Value value_of(NodeIndex node, std::uint32_t span);

 private:
  // The span, and the event and link that the parts of an expression speak of; null: of none.
  struct Subject {
    const TraceView::Span& span;
    const EventView* event = nullptr;
    const LinkView* link = nullptr;
  };

  bool closed(const Node& node, const TraceView::Span& span);
  bool joined(const Node& node, const TraceView::Span& span);
  bool truth(const Node& node, const Subject& subject);
  Value evaluate(const Node& node, const Subject& subject);
  bool compared(const Node& node, const Subject& subject);
  bool matches(const Node& node, const Value& value);
  bool afford(const Value& value);
  Value attribute(const Node& node, const Subject& subject);
  Value find(const AttributeViews& attributes, const std::string& key);
  Value intrinsic(Intrinsic intrinsic, const Subject& subject);
  Value id(ByteView bytes);

  // Calls ask(subject) for each event, each link or each pair, those and none, until it is true.
  template <class Ask>
  bool any_subject(bool events, bool links, const TraceView::Span& span, Ask ask);

  const Ast& ast_;
  const TraceView& trace_;
  Steps& steps_;
  std::array<std::string, 2> ids_;
  std::size_t id_turn_ = 0;
};

}  // namespace tailgate::traceql
