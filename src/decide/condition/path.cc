// SPDX-License-Identifier: Apache-2.0
// Paths: how a condition's `span.attributes["a"]["b"]` becomes an Expr. An attribute by a constant key has a slot in
// the scan plan; every other field is looked for when the condition is asked (span_field.h).
#include <fmt/format.h>

#include <algorithm>

#include "config/config_node.h"
#include "decide/condition/span_field.h"
#include "model/span_times.h"
#include "wire/otlp/tracestate.h"

namespace tailgate::condition {
namespace {

class FieldExpr final : public Expr {
 public:
  explicit FieldExpr(SpanField field) : field_(field) {}
  bool evaluate(Evaluation& e, Value& out) const override { return read_field(field_, e, out); }
  // The kind in an empty span, because a field has the same kind in every span.
  std::optional<ValueKind> kind() const override {
    const SpanFields empty;
    const ConditionContext nobody{empty};
    Evaluation e(nobody);
    Value value;
    if (!read_field(field_, e, value) || value.is(ValueKind::kNil)) return std::nullopt;
    return value.kind;
  }
  ExprShape shape() const override {
    return {field_ == SpanField::kName         ? ExprShape::kName
            : field_ == SpanField::kKind       ? ExprShape::kKind
            : field_ == SpanField::kStatusCode ? ExprShape::kStatusCode
                                               : ExprShape::kOther};
  }

 private:
  SpanField field_;
};

class SpanAttribute final : public Expr {
 public:
  explicit SpanAttribute(std::size_t slot) : slot_(slot) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    const ByteView found = e.in.span.attributes[slot_];
    out = found.data() == nullptr ? Value() : decode_key_value(found);
    return true;
  }
  ExprShape shape() const override { return {ExprShape::kSpanSlot, slot_}; }

 private:
  std::size_t slot_;
};

class ResourceAttribute final : public Expr {
 public:
  explicit ResourceAttribute(std::size_t slot) : slot_(slot) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    const SpanContext* const context = e.in.span.context;
    const ByteView found = context == nullptr || context->resource_attributes == nullptr
                               ? ByteView()
                               : context->resource_attributes[slot_];
    out = found.data() == nullptr ? Value() : decode_key_value(found);
    return true;
  }
  ExprShape shape() const override { return {ExprShape::kResourceSlot, slot_}; }

 private:
  std::size_t slot_;
};

// A value by further keys: attributes["a"]["b"][0]. A key that is not in its map gives nil, which has no keys of its
// own.
class Keyed final : public Expr {
 public:
  Keyed(ExprPtr of, std::vector<ExprPtr> keys, bool slotted)
      : of_(std::move(of)), keys_(std::move(keys)), slotted_(slotted) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    if (!of_->evaluate(e, out)) return false;
    // A missing attribute is nil whatever keys follow (as is an empty one, where contrib has an error).
    if (slotted_ && out.is(ValueKind::kNil)) return true;
    Value from, key;
    for (const ExprPtr& expr : keys_) {
      from = out;
      if (!expr->evaluate(e, key)) return false;
      if (from.is(ValueKind::kMap)) {
        if (!key.is(ValueKind::kString)) return e.fail("a map is indexed by a string");
        if (!find_key(from, key.text, out)) {
          out = Value();
          return true;
        }
      } else if (from.is(ValueKind::kList)) {
        if (!key.is(ValueKind::kInt)) return e.fail("a list is indexed by an integer");
        if (!find_index(from, key.integer, out)) return e.fail("the index is past the end");
      } else {
        return e.fail("only maps and lists can be indexed");
      }
    }
    return true;
  }

 private:
  ExprPtr of_;
  std::vector<ExprPtr> keys_;
  bool slotted_;
};

class TraceStateKey final : public Expr {
 public:
  explicit TraceStateKey(ExprPtr key) : key_(std::move(key)) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    Value key;
    if (!key_->evaluate(e, key)) return false;
    if (!key.is(ValueKind::kString)) return e.fail("trace_state is indexed by a string");
    const std::optional<std::string_view> found = tracestate_value(e.in.span.trace_state, key.text);
    out = found ? Value::of_text(*found) : Value();
    return true;
  }

 private:
  ExprPtr key_;
};

// root.*: nil where a trace has no root.
class OfRoot final : public Expr {
 public:
  explicit OfRoot(ExprPtr of) : of_(std::move(of)) {}
  std::optional<ValueKind> kind() const override { return of_->kind(); }
  bool evaluate(Evaluation& e, Value& out) const override {
    if (!e.in.no_root) return of_->evaluate(e, out);
    out = Value();
    return true;
  }

 private:
  ExprPtr of_;
};

class SpanDuration final : public Expr {
 public:
  std::optional<ValueKind> kind() const override { return ValueKind::kDuration; }
  bool evaluate(Evaluation& e, Value& out) const override {
    const SpanFields& span = e.in.span;
    const bool known = is_time(span.start_ns) && is_time(span.end_ns);
    out = known ? Value::of_duration(duration_ns(span.start_ns, span.end_ns)) : Value();
    return true;
  }
};

std::string_view own_context(ConditionKind kind) { return kind == ConditionKind::kSpanEvent ? "spanevent" : "span"; }

// The paths a condition of this kind may use, for messages; of its own context without the prefix.
std::vector<std::string> known_paths(ConditionKind kind) {
  std::vector<std::string> known;
  for (const PathRow& row : kPaths) {
    if (row.context == "spanevent" && kind != ConditionKind::kSpanEvent) continue;
    if (kind == ConditionKind::kRoot) {
      known.push_back(fmt::format("root.{}{}", row.context == "span" ? "" : std::string(row.context) + ".", row.name));
      continue;
    }
    if (row.context == own_context(kind)) known.emplace_back(row.name);
    known.push_back(fmt::format("{}.{}", row.context, row.name));
  }
  if (kind == ConditionKind::kRoot) known.insert(known.end(), {"root.service", "root.duration"});
  return known;
}

tl::unexpected<Error> unknown_path(std::uint32_t column, const std::string& path, ConditionKind kind) {
  const std::vector<std::string> known = known_paths(kind);
  if (path == "status" || path == "span.status")
    return condition_error(column, "expected status.code or status.message, got 'status'");
  const std::string near = nearest_name(path, known);
  if (!near.empty()) return condition_error(column, fmt::format("no field '{}'; did you mean '{}'?", path, near));
  std::string list;
  for (const PathRow& row : kPaths) {
    if (row.context == own_context(kind)) list.append(list.empty() ? "" : ", ").append(row.name);
  }
  return condition_error(column,
                         fmt::format("no field '{}'; a {} has {}; beside it there are {}resource.* and scope.*", path,
                                     own_context(kind), list, kind == ConditionKind::kSpanEvent ? "span.*, " : ""));
}

// A path's context, and the index of the first name after it.
struct Resolved {
  std::string_view context;
  std::size_t begin = 0;
};

Resolved context_of(const Ast& ast, const AstNode& node, ConditionKind kind) {
  Resolved r{own_context(kind)};
  if (kind == ConditionKind::kRoot) r.begin = 1;  // after `root.`
  if (node.children.size() > r.begin + 1) {
    const std::string& first = ast.child(node, r.begin).text;
    const bool event_here = kind == ConditionKind::kSpanEvent && first == "spanevent";
    if ((first == "span" && kind != ConditionKind::kRoot) || first == "resource" || first == "scope" ||
        first == "instrumentation_scope" || event_here) {
      r.context = first == "instrumentation_scope" ? std::string_view("scope") : std::string_view(first);
      ++r.begin;
    }
  }
  return r;
}

}  // namespace

Result<ExprPtr> Compiler::path(const AstNode& node) {
  if (kind == ConditionKind::kRoot && ast.child(node, 0).text != "root") {
    return condition_error(node.column, "root.* can be compared with constants, and with each other");
  }
  const auto of_root = [&](ExprPtr made) -> ExprPtr {
    if (kind == ConditionKind::kRoot) return std::make_unique<OfRoot>(std::move(made));
    return made;
  };
  std::string written, name;
  const Resolved resolved = context_of(ast, node, kind);
  const std::string_view context = resolved.context;
  const std::size_t begin = resolved.begin;
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const AstNode& field = ast.child(node, i);
    written.append(i == 0 ? "" : ".").append(field.text);
    if (i >= begin) name.append(i == begin ? "" : ".").append(field.text);
    if (i + 1 < node.children.size() && !field.children.empty()) {
      return condition_error(ast.at(field.children[0]).column, "expected keys at the end of a path");
    }
  }
  if (kind == ConditionKind::kRoot && ast.at(node.children.back()).children.empty()) {
    if (written == "root.duration") return of_root(std::make_unique<SpanDuration>());
    if (written == "root.service") {
      if (attribute.empty()) attribute = "service.name";
      return of_root(
          std::make_unique<ResourceAttribute>(plan.attribute_slot("service.name", Attributes::kOfResources)));
    }
  }
  const auto row = std::find_if(kPaths.begin(), kPaths.end(),
                                [&](const PathRow& r) { return r.context == context && r.name == name; });
  if (row == kPaths.end()) {
    if (written == "spanevent" || written.starts_with("spanevent.")) {
      return condition_error(node.column, "a condition on spans has no event at hand; put it under `spanevent:`");
    }
    return unknown_path(node.column, written, kind);
  }

  std::vector<ExprPtr> keys;
  const AstNode& last = ast.at(node.children.back());
  for (const AstIndex i : last.children) {
    Result<ExprPtr> key = value(i);
    if (!key) return key;
    const Value* const constant = (*key)->constant();
    if (constant != nullptr && !constant->is(ValueKind::kString) && !constant->is(ValueKind::kInt)) {
      return condition_error(ast.at(i).column, "expected a key in quotes or an index");
    }
    keys.push_back(std::move(*key));
  }
  if (row->field == SpanField::kTraceState && !keys.empty()) {
    if (keys.size() > 1) return condition_error(last.column, "expected one key: trace_state[\"key\"]");
    return of_root(std::make_unique<TraceStateKey>(std::move(keys[0])));
  }
  ExprPtr whole = std::make_unique<FieldExpr>(row->field);
  if (keys.empty()) return of_root(std::move(whole));

  const bool span = row->field == SpanField::kAttributes, resource = row->field == SpanField::kResourceAttributes;
  if (!span && !resource && row->field != SpanField::kScopeAttributes && row->field != SpanField::kEventAttributes) {
    return condition_error(ast.at(last.children[0]).column, fmt::format("'{}' has no keys", written));
  }
  const Value* const key = keys[0]->constant();
  if (key != nullptr && !key->is(ValueKind::kString)) {
    return condition_error(ast.at(last.children[0]).column, "expected an attribute's key in quotes");
  }
  bool slotted = false;
  if (key != nullptr) {
    if (attribute.empty()) attribute = key->text;
    if (span || resource) {
      const std::size_t slot = plan.attribute_slot(key->text, span ? Attributes::kOfSpans : Attributes::kOfResources);
      if (span) {
        whole = std::make_unique<SpanAttribute>(slot);
      } else {
        whole = std::make_unique<ResourceAttribute>(slot);
      }
      keys.erase(keys.begin());
      slotted = true;
      if (keys.empty()) return of_root(std::move(whole));
    }
  }
  return of_root(std::make_unique<Keyed>(std::move(whole), std::move(keys), slotted));
}

}  // namespace tailgate::condition
