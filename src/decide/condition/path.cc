// Paths: which fields of a span, its event, scope and resource a condition may name, and how each is read from the
// wire. Names are those of contrib's ottlspan and ottlspanevent contexts. An attribute by a constant key has a slot in
// the scan plan; everything else is looked for when it is asked for.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "codec/hex.h"
#include "codec/protobuf.h"
#include "config/config_node.h"
#include "decide/condition/expr.h"
#include "wire/otlp/schema.h"
#include "wire/otlp/tracestate.h"

namespace tailgate {
namespace {

enum class Field : std::uint8_t {
  kTraceId,
  kTraceIdText,
  kSpanId,
  kSpanIdText,
  kParentId,
  kParentIdText,
  kTraceState,
  kName,
  kKind,
  kKindText,
  kKindOldText,
  kStartNanos,
  kEndNanos,
  kStart,
  kEnd,
  kAttributes,
  kDroppedAttributes,
  kEvents,
  kDroppedEvents,
  kLinks,
  kDroppedLinks,
  kStatusCode,
  kStatusMessage,
  kFlags,
  kEventName,
  kEventTime,
  kEventNanos,
  kEventAttributes,
  kEventDroppedAttributes,
  kEventIndex,
  kResourceAttributes,
  kResourceDroppedAttributes,
  kResourceSchemaUrl,
  kScopeName,
  kScopeVersion,
  kScopeAttributes,
  kScopeDroppedAttributes,
  kScopeSchemaUrl,
};

struct PathRow {
  std::string_view context, name;
  Field field;
};

constexpr std::array kPaths = {
    PathRow{"span", "name", Field::kName},
    PathRow{"span", "kind", Field::kKind},
    PathRow{"span", "kind.string", Field::kKindText},
    PathRow{"span", "kind.deprecated_string", Field::kKindOldText},
    PathRow{"span", "attributes", Field::kAttributes},
    PathRow{"span", "status.code", Field::kStatusCode},
    PathRow{"span", "status.message", Field::kStatusMessage},
    PathRow{"span", "start_time", Field::kStart},
    PathRow{"span", "end_time", Field::kEnd},
    PathRow{"span", "start_time_unix_nano", Field::kStartNanos},
    PathRow{"span", "end_time_unix_nano", Field::kEndNanos},
    PathRow{"span", "trace_id", Field::kTraceId},
    PathRow{"span", "trace_id.string", Field::kTraceIdText},
    PathRow{"span", "span_id", Field::kSpanId},
    PathRow{"span", "span_id.string", Field::kSpanIdText},
    PathRow{"span", "parent_span_id", Field::kParentId},
    PathRow{"span", "parent_span_id.string", Field::kParentIdText},
    PathRow{"span", "trace_state", Field::kTraceState},
    PathRow{"span", "flags", Field::kFlags},
    PathRow{"span", "events", Field::kEvents},
    PathRow{"span", "links", Field::kLinks},
    PathRow{"span", "dropped_attributes_count", Field::kDroppedAttributes},
    PathRow{"span", "dropped_events_count", Field::kDroppedEvents},
    PathRow{"span", "dropped_links_count", Field::kDroppedLinks},
    PathRow{"spanevent", "name", Field::kEventName},
    PathRow{"spanevent", "attributes", Field::kEventAttributes},
    PathRow{"spanevent", "time", Field::kEventTime},
    PathRow{"spanevent", "time_unix_nano", Field::kEventNanos},
    PathRow{"spanevent", "dropped_attributes_count", Field::kEventDroppedAttributes},
    PathRow{"spanevent", "event_index", Field::kEventIndex},
    PathRow{"resource", "attributes", Field::kResourceAttributes},
    PathRow{"resource", "dropped_attributes_count", Field::kResourceDroppedAttributes},
    PathRow{"resource", "schema_url", Field::kResourceSchemaUrl},
    PathRow{"scope", "name", Field::kScopeName},
    PathRow{"scope", "version", Field::kScopeVersion},
    PathRow{"scope", "attributes", Field::kScopeAttributes},
    PathRow{"scope", "dropped_attributes_count", Field::kScopeDroppedAttributes},
    PathRow{"scope", "schema_url", Field::kScopeSchemaUrl},
};

constexpr std::array kKindTexts = {"Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"};
constexpr std::array kKindOldTexts = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
                                      "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"};

// --- single fields of a message, the last one counting; an absent one is 0 or empty, as proto3 has it
std::uint64_t number_in(ByteView message, std::uint32_t tag_wanted) {
  std::uint64_t found = 0;
  const char* p = message.data();
  const char* const end = p + message.size();
  while (p < end) {
    std::uint32_t tag = 0, small = 0;
    if (!pb::read_tag(p, end, tag)) break;
    bool ok;
    if (tag != tag_wanted) {
      ok = pb::skip_value(p, end, tag);
    } else if ((tag & 7) == pb::kFixed64) {
      ok = pb::read_fixed64(p, end, found);
    } else if ((tag & 7) == pb::kFixed32) {
      ok = pb::read_fixed32(p, end, small);
      found = small;
    } else {
      ok = pb::read_varint(p, end, found);
    }
    if (!ok) break;
  }
  return found;
}

ByteView bytes_in(ByteView message, std::uint32_t field) {
  ByteView found, next;
  const char* p = message.data();
  const char* const end = p + message.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) break;
    if (tag != pb::tag_of(field, pb::kLen)) {
      if (!pb::skip_value(p, end, tag)) break;
    } else if (pb::read_len(p, end, next)) {
      found = next;
    } else {
      break;
    }
  }
  return found;
}

Value count_in(ByteView message, std::uint32_t field) {
  return Value::of_int(static_cast<std::uint32_t>(number_in(message, pb::tag_of(field, pb::kVarint))));
}

Value messages_in(ByteView message, std::uint8_t field) {
  Value list = Value::on_wire(ValueKind::kList, message, field);
  list.opaque = true;
  return list;
}

Value time_of(std::uint64_t unix_ns) { return Value::of_time(static_cast<std::int64_t>(unix_ns)); }
Value nanos_of(std::uint64_t unix_ns) { return Value::of_int(static_cast<std::int64_t>(unix_ns)); }

Value id_of(ByteView id, ValueKind kind) {
  static constexpr char kZeros[16] = {};
  const std::size_t size = kind == ValueKind::kTraceId ? 16 : 8;
  return Value::of_text(id.size() == size ? id : ByteView(kZeros, size), kind);
}

bool hex_of(Evaluation& e, const Value& id, Value& out) { return e.own(to_hex(id.text), out); }

template <class Names>
Value name_in(const Names& names, std::int32_t i) {
  return Value::of_text(i >= 0 && static_cast<std::size_t>(i) < names.size() ? names[static_cast<std::size_t>(i)] : "");
}

ByteView resource_of(const Evaluation& e) {
  return e.in.span.context == nullptr ? ByteView() : e.in.span.context->resource;
}
ByteView scope_of(const Evaluation& e) { return e.in.span.context == nullptr ? ByteView() : e.in.span.context->scope; }

// Numbers of fields: opentelemetry/proto/trace/v1/trace.proto, resource.proto, common.proto.
bool read_field(Field field, Evaluation& e, Value& out) {
  const SpanFields& span = e.in.span;
  switch (field) {
    case Field::kTraceId:
      out = id_of(span.trace_id, ValueKind::kTraceId);
      return true;
    case Field::kTraceIdText:
      return hex_of(e, id_of(span.trace_id, ValueKind::kTraceId), out);
    case Field::kSpanId:
      out = id_of(span.span_id, ValueKind::kSpanId);
      return true;
    case Field::kSpanIdText:
      return hex_of(e, id_of(span.span_id, ValueKind::kSpanId), out);
    case Field::kParentId:
      out = id_of(span.parent_span_id, ValueKind::kSpanId);
      return true;
    case Field::kParentIdText:
      return hex_of(e, id_of(span.parent_span_id, ValueKind::kSpanId), out);
    case Field::kTraceState:
      out = Value::of_text(span.trace_state);
      return true;
    case Field::kName:
      out = Value::of_text(span.name);
      return true;
    case Field::kKind:
      out = Value::of_int(span.kind);
      return true;
    case Field::kKindText:
      out = name_in(kKindTexts, span.kind);
      return true;
    case Field::kKindOldText:
      out = name_in(kKindOldTexts, span.kind);
      return true;
    case Field::kStartNanos:
      out = nanos_of(span.start_ns);
      return true;
    case Field::kEndNanos:
      out = nanos_of(span.end_ns);
      return true;
    case Field::kStart:
      out = time_of(span.start_ns);
      return true;
    case Field::kEnd:
      out = time_of(span.end_ns);
      return true;
    case Field::kAttributes:
      out = Value::on_wire(ValueKind::kMap, span.bytes, otlp::span::kAttributes);
      return true;
    case Field::kDroppedAttributes:
      out = count_in(span.bytes, otlp::span::kDroppedAttributes);
      return true;
    case Field::kEvents:
      out = messages_in(span.bytes, otlp::span::kEvents);
      return true;
    case Field::kDroppedEvents:
      out = count_in(span.bytes, otlp::span::kDroppedEvents);
      return true;
    case Field::kLinks:
      out = messages_in(span.bytes, otlp::span::kLinks);
      return true;
    case Field::kDroppedLinks:
      out = count_in(span.bytes, otlp::span::kDroppedLinks);
      return true;
    case Field::kStatusCode:
      out = Value::of_int(span.status_code);
      return true;
    case Field::kStatusMessage:
      out = Value::of_text(bytes_in(bytes_in(span.bytes, otlp::span::kStatus), otlp::status::kMessage));
      return true;
    case Field::kFlags:
      out = Value::of_int(span.flags);
      return true;
    case Field::kEventName:
      out = Value::of_text(bytes_in(e.in.event, otlp::event::kName));
      return true;
    case Field::kEventTime:
      out = time_of(number_in(e.in.event, pb::tag_of(otlp::event::kTime, pb::kFixed64)));
      return true;
    case Field::kEventNanos:
      out = nanos_of(number_in(e.in.event, pb::tag_of(otlp::event::kTime, pb::kFixed64)));
      return true;
    case Field::kEventAttributes:
      out = Value::on_wire(ValueKind::kMap, e.in.event, otlp::event::kAttributes);
      return true;
    case Field::kEventDroppedAttributes:
      out = count_in(e.in.event, otlp::event::kDroppedAttributes);
      return true;
    case Field::kEventIndex:
      out = Value::of_int(e.in.event_index);
      return true;
    case Field::kResourceAttributes:
      out =
          Value::on_wire(ValueKind::kMap, resource_of(e), otlp::resource::kAttributes, otlp::resource_spans::kResource);
      return true;
    case Field::kResourceDroppedAttributes:
      out = count_in(bytes_in(resource_of(e), otlp::resource_spans::kResource), otlp::resource::kDroppedAttributes);
      return true;
    case Field::kResourceSchemaUrl:
      out = Value::of_text(bytes_in(resource_of(e), otlp::resource_spans::kSchemaUrl));
      return true;
    case Field::kScopeName:
      out = Value::of_text(bytes_in(bytes_in(scope_of(e), otlp::scope_spans::kScope), otlp::scope::kName));
      return true;
    case Field::kScopeVersion:
      out = Value::of_text(bytes_in(bytes_in(scope_of(e), otlp::scope_spans::kScope), otlp::scope::kVersion));
      return true;
    case Field::kScopeAttributes:
      out = Value::on_wire(ValueKind::kMap, scope_of(e), otlp::scope::kAttributes, otlp::scope_spans::kScope);
      return true;
    case Field::kScopeDroppedAttributes:
      out = count_in(bytes_in(scope_of(e), otlp::scope_spans::kScope), otlp::scope::kDroppedAttributes);
      return true;
    case Field::kScopeSchemaUrl:
      out = Value::of_text(bytes_in(scope_of(e), otlp::scope_spans::kSchemaUrl));
      return true;
  }
  return false;
}

class FieldExpr final : public Expr {
 public:
  explicit FieldExpr(Field field) : field_(field) {}
  bool evaluate(Evaluation& e, Value& out) const override { return read_field(field_, e, out); }
  ExprShape shape() const override {
    return {field_ == Field::kName         ? ExprShape::kName
            : field_ == Field::kKind       ? ExprShape::kKind
            : field_ == Field::kStatusCode ? ExprShape::kStatusCode
                                           : ExprShape::kOther};
  }

 private:
  Field field_;
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
  bool evaluate(Evaluation& e, Value& out) const override {
    out = Value::of_duration(static_cast<std::int64_t>(e.in.span.end_ns - e.in.span.start_ns));
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
    return condition_error(column, "want status.code or status.message, got 'status'");
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

}  // namespace

namespace {

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
      return condition_error(ast.at(field.children[0]).column, "want keys at the end of a path");
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
      return condition_error(ast.at(i).column, "want a key in quotes or an index");
    }
    keys.push_back(std::move(*key));
  }
  if (row->field == Field::kTraceState && !keys.empty()) {
    if (keys.size() > 1) return condition_error(last.column, "want one key: trace_state[\"key\"]");
    return of_root(std::make_unique<TraceStateKey>(std::move(keys[0])));
  }
  ExprPtr whole = std::make_unique<FieldExpr>(row->field);
  if (keys.empty()) return of_root(std::move(whole));

  const bool span = row->field == Field::kAttributes, resource = row->field == Field::kResourceAttributes;
  if (!span && !resource && row->field != Field::kScopeAttributes && row->field != Field::kEventAttributes) {
    return condition_error(ast.at(last.children[0]).column, fmt::format("'{}' has no keys", written));
  }
  const Value* const key = keys[0]->constant();
  if (key != nullptr && !key->is(ValueKind::kString)) {
    return condition_error(ast.at(last.children[0]).column, "want an attribute's key in quotes");
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

}  // namespace tailgate
