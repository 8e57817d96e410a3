// SPDX-License-Identifier: Apache-2.0
// OTLP's messages as one table, from which the JSON reader, the JSON writer and the check of kept spans derive what
// they need. A field with a known number and another wire type is an unknown field.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include "codec/protobuf.h"
#include "wire/otlp/schema.h"

namespace tailgate::otlp {

enum class FieldKind : std::uint8_t {
  kMessage,
  kText,
  kId,     // bytes that JSON has in hex
  kBytes,  // bytes that JSON has in base64
  kBool,
  kEnum,
  kUint32,
  kInt64,
  kFixed64,
  kFixed32,
  kDouble
};

constexpr pb::WireType wire_type(FieldKind kind) {
  switch (kind) {
    case FieldKind::kMessage:
    case FieldKind::kText:
    case FieldKind::kId:
    case FieldKind::kBytes:
      return pb::kLen;
    case FieldKind::kFixed64:
    case FieldKind::kDouble:
      return pb::kFixed64;
    case FieldKind::kFixed32:
      return pb::kFixed32;
    case FieldKind::kBool:
    case FieldKind::kEnum:
    case FieldKind::kUint32:
    case FieldKind::kInt64:
      return pb::kVarint;
  }
  return pb::kVarint;
}

enum class MessageType : std::uint8_t {
  kNone,
  kRequest,
  kResourceSpans,
  kScopeSpans,
  kResource,
  kEntityRef,
  kScope,
  kSpan,
  kEvent,
  kLink,
  kStatus,
  kKeyValue,
  kAnyValue,
  kArrayValue,
  kKeyValueList
};
inline constexpr std::size_t kMessageTypes = 15;

// What the JSON writer does about a field that is absent or has its default value.
enum class Absent : std::uint8_t {
  kOmit,
  kEmpty,  // writes the empty value, as the Collector does
};

// What an element of a repeated field counts as where a writer may leave some out (item_limits.h). kOther: as an
// attribute for which the message has no dropped count.
enum class Item : std::uint8_t { kNone, kAttribute, kEvent, kLink, kOther };

struct Field {
  std::uint32_t number;
  std::string_view json_name;
  FieldKind kind;
  Absent absent = Absent::kOmit;
  bool repeated = false;
  MessageType message = MessageType::kNone;  // of a kMessage
  Item item = Item::kNone;
  Item dropped = Item::kNone;  // this field counts the dropped items of this kind
};

constexpr Field message_field(std::uint32_t number, std::string_view name, MessageType type, Absent absent) {
  return {number, name, FieldKind::kMessage, absent, false, type};
}
constexpr Field messages_field(std::uint32_t number, std::string_view name, MessageType type, Item item = Item::kNone,
                               Absent absent = Absent::kOmit) {
  return {number, name, FieldKind::kMessage, absent, true, type, item};
}
constexpr Field attributes_field(std::uint32_t number) {
  return messages_field(number, "attributes", MessageType::kKeyValue, Item::kAttribute);
}
constexpr Field dropped_field(std::uint32_t number, std::string_view name, Item item) {
  return {number, name, FieldKind::kUint32, Absent::kOmit, false, MessageType::kNone, Item::kNone, item};
}
constexpr Field dropped_attributes_field(std::uint32_t number) {
  return dropped_field(number, "droppedAttributesCount", Item::kAttribute);
}
constexpr Field texts_field(std::uint32_t number, std::string_view name) {
  return {number, name, FieldKind::kText, Absent::kOmit, true, MessageType::kNone, Item::kOther};
}

// In the order in which the Collector writes them in JSON.
inline constexpr Field kRequestFields[] = {
    messages_field(request::kResourceSpans, "resourceSpans", MessageType::kResourceSpans, Item::kNone, Absent::kEmpty)};
inline constexpr Field kResourceSpansFields[] = {
    message_field(resource_spans::kResource, "resource", MessageType::kResource, Absent::kEmpty),
    messages_field(resource_spans::kScopeSpans, "scopeSpans", MessageType::kScopeSpans),
    {resource_spans::kSchemaUrl, "schemaUrl", FieldKind::kText}};
inline constexpr Field kScopeSpansFields[] = {
    message_field(scope_spans::kScope, "scope", MessageType::kScope, Absent::kEmpty),
    messages_field(scope_spans::kSpans, "spans", MessageType::kSpan),
    {scope_spans::kSchemaUrl, "schemaUrl", FieldKind::kText}};
inline constexpr Field kResourceFields[] = {
    attributes_field(resource::kAttributes), dropped_attributes_field(resource::kDroppedAttributes),
    messages_field(resource::kEntityRefs, "entityRefs", MessageType::kEntityRef, Item::kOther)};
inline constexpr Field kEntityRefFields[] = {{entity_ref::kSchemaUrl, "schemaUrl", FieldKind::kText},
                                             {entity_ref::kType, "type", FieldKind::kText},
                                             texts_field(entity_ref::kIdKeys, "idKeys"),
                                             texts_field(entity_ref::kDescriptionKeys, "descriptionKeys")};
inline constexpr Field kScopeFields[] = {{scope::kName, "name", FieldKind::kText},
                                         {scope::kVersion, "version", FieldKind::kText},
                                         attributes_field(scope::kAttributes),
                                         dropped_attributes_field(scope::kDroppedAttributes)};
inline constexpr Field kSpanFields[] = {{span::kTraceId, "traceId", FieldKind::kId, Absent::kEmpty},
                                        {span::kSpanId, "spanId", FieldKind::kId, Absent::kEmpty},
                                        {span::kTraceState, "traceState", FieldKind::kText},
                                        {span::kParentSpanId, "parentSpanId", FieldKind::kId, Absent::kEmpty},
                                        {span::kFlags, "flags", FieldKind::kFixed32},
                                        {span::kName, "name", FieldKind::kText},
                                        {span::kKind, "kind", FieldKind::kEnum},
                                        {span::kStartTime, "startTimeUnixNano", FieldKind::kFixed64},
                                        {span::kEndTime, "endTimeUnixNano", FieldKind::kFixed64},
                                        attributes_field(span::kAttributes),
                                        dropped_attributes_field(span::kDroppedAttributes),
                                        messages_field(span::kEvents, "events", MessageType::kEvent, Item::kEvent),
                                        dropped_field(span::kDroppedEvents, "droppedEventsCount", Item::kEvent),
                                        messages_field(span::kLinks, "links", MessageType::kLink, Item::kLink),
                                        dropped_field(span::kDroppedLinks, "droppedLinksCount", Item::kLink),
                                        message_field(span::kStatus, "status", MessageType::kStatus, Absent::kEmpty)};
inline constexpr Field kEventFields[] = {{event::kTime, "timeUnixNano", FieldKind::kFixed64},
                                         {event::kName, "name", FieldKind::kText},
                                         attributes_field(event::kAttributes),
                                         dropped_attributes_field(event::kDroppedAttributes)};
inline constexpr Field kLinkFields[] = {{link::kTraceId, "traceId", FieldKind::kId, Absent::kEmpty},
                                        {link::kSpanId, "spanId", FieldKind::kId, Absent::kEmpty},
                                        {link::kTraceState, "traceState", FieldKind::kText},
                                        attributes_field(link::kAttributes),
                                        dropped_attributes_field(link::kDroppedAttributes),
                                        {link::kFlags, "flags", FieldKind::kFixed32}};
inline constexpr Field kStatusFields[] = {{status::kMessage, "message", FieldKind::kText},
                                          {status::kCode, "code", FieldKind::kEnum}};
inline constexpr Field kKeyValueFields[] = {
    {key_value::kKey, "key", FieldKind::kText, Absent::kEmpty},
    message_field(key_value::kValue, "value", MessageType::kAnyValue, Absent::kEmpty)};
inline constexpr Field kAnyValueFields[] = {
    {any_value::kString, "stringValue", FieldKind::kText},
    {any_value::kBool, "boolValue", FieldKind::kBool},
    {any_value::kInt, "intValue", FieldKind::kInt64},
    {any_value::kDouble, "doubleValue", FieldKind::kDouble},
    message_field(any_value::kArray, "arrayValue", MessageType::kArrayValue, Absent::kOmit),
    message_field(any_value::kMap, "kvlistValue", MessageType::kKeyValueList, Absent::kOmit),
    {any_value::kBytes, "bytesValue", FieldKind::kBytes}};
inline constexpr Field kArrayValueFields[] = {
    messages_field(list::kValues, "values", MessageType::kAnyValue, Item::kNone, Absent::kEmpty)};
inline constexpr Field kKeyValueListFields[] = {
    messages_field(list::kValues, "values", MessageType::kKeyValue, Item::kNone, Absent::kEmpty)};

constexpr std::span<const Field> fields_of(MessageType type) {
  switch (type) {
    case MessageType::kNone:
      return {};
    case MessageType::kRequest:
      return kRequestFields;
    case MessageType::kResourceSpans:
      return kResourceSpansFields;
    case MessageType::kScopeSpans:
      return kScopeSpansFields;
    case MessageType::kResource:
      return kResourceFields;
    case MessageType::kEntityRef:
      return kEntityRefFields;
    case MessageType::kScope:
      return kScopeFields;
    case MessageType::kSpan:
      return kSpanFields;
    case MessageType::kEvent:
      return kEventFields;
    case MessageType::kLink:
      return kLinkFields;
    case MessageType::kStatus:
      return kStatusFields;
    case MessageType::kKeyValue:
      return kKeyValueFields;
    case MessageType::kAnyValue:
      return kAnyValueFields;
    case MessageType::kArrayValue:
      return kArrayValueFields;
    case MessageType::kKeyValueList:
      return kKeyValueListFields;
  }
  return {};
}

// Of all messages: the most fields that one has, and the greatest number of a field.
inline constexpr std::size_t kFieldsMax = [] {
  std::size_t most = 0;
  for (std::size_t i = 0; i < kMessageTypes; ++i) most = std::max(most, fields_of(static_cast<MessageType>(i)).size());
  return most;
}();
inline constexpr std::uint32_t kFieldNumberMax = [] {
  std::uint32_t greatest = 0;
  for (std::size_t i = 0; i < kMessageTypes; ++i) {
    for (const Field& field : fields_of(static_cast<MessageType>(i))) greatest = std::max(greatest, field.number);
  }
  return greatest;
}();

// The field's name in JSON: in lowerCamelCase, or as the .proto file has it, "start_time_unix_nano".
constexpr bool is_name_of(const Field& field, std::string_view key) {
  std::size_t at = 0;
  for (const char c : field.json_name) {
    const bool capital = c >= 'A' && c <= 'Z';
    if (capital && at + 1 < key.size() && key[at] == '_' && key[at + 1] == c - 'A' + 'a') {
      at += 2;
    } else if (at < key.size() && key[at] == c) {
      ++at;
    } else {
      return false;
    }
  }
  return at == key.size();
}

// All fields of the message are one oneof: the last one in the bytes counts, even when it has its default value.
constexpr bool is_oneof(MessageType type) { return type == MessageType::kAnyValue; }

}  // namespace tailgate::otlp
