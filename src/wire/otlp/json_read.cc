#include "wire/otlp/json_read.h"

#include <fmt/format.h>

#include <bit>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "codec/base64.h"
#include "codec/hex.h"
#include "codec/protobuf.h"

namespace tailgate {
namespace {

namespace json = boost::json;

enum class Kind : std::uint8_t {
  kMessage,
  kString,
  kHex,
  kBase64,
  kBool,
  kInt32,
  kUint32,
  kInt64,
  kFixed64,
  kFixed32,
  kDouble
};

constexpr std::string_view wanted(Kind kind) {
  switch (kind) {
    case Kind::kMessage:
      return "an object";
    case Kind::kString:
      return "a string";
    case Kind::kHex:
      return "a string of hex digits";
    case Kind::kBase64:
      return "a string in base64";
    case Kind::kBool:
      return "true or false";
    case Kind::kInt32:
      return "an integer";
    case Kind::kUint32:
      return "an integer from 0 to 4294967295";
    case Kind::kInt64:
      return "a 64-bit integer";
    case Kind::kFixed64:
      return "an unsigned 64-bit integer";
    case Kind::kFixed32:
      return "an integer from 0 to 4294967295";
    case Kind::kDouble:
      return "a number";
  }
  return "";
}

// The schema as a table: what protoc would know about the messages of a trace (opentelemetry-proto v1.11).
enum class Type : std::uint8_t {
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

struct Field {
  std::string_view name;
  std::uint32_t number;
  Kind kind;
  bool repeated = false;
  Type type = Type::kNone;
  bool in_oneof = false;  // written even when it has its default value
};

constexpr Field message(std::string_view name, std::uint32_t number, Type type) {
  return {name, number, Kind::kMessage, false, type, false};
}
constexpr Field messages(std::string_view name, std::uint32_t number, Type type) {
  return {name, number, Kind::kMessage, true, type, false};
}
constexpr Field scalar(std::string_view name, std::uint32_t number, Kind kind) {
  return {name, number, kind, false, Type::kNone, false};
}
constexpr Field one_of(std::string_view name, std::uint32_t number, Kind kind) {
  return {name, number, kind, false, Type::kNone, true};
}

constexpr Field kAttributes1 = messages("attributes", 1, Type::kKeyValue);

constexpr Field kRequest[] = {messages("resourceSpans", 1, Type::kResourceSpans)};
constexpr Field kResourceSpans[] = {message("resource", 1, Type::kResource),
                                    messages("scopeSpans", 2, Type::kScopeSpans),
                                    scalar("schemaUrl", 3, Kind::kString)};
constexpr Field kScopeSpans[] = {message("scope", 1, Type::kScope), messages("spans", 2, Type::kSpan),
                                 scalar("schemaUrl", 3, Kind::kString)};
constexpr Field kResource[] = {kAttributes1, scalar("droppedAttributesCount", 2, Kind::kUint32),
                               messages("entityRefs", 3, Type::kEntityRef)};
constexpr Field kEntityRef[] = {scalar("schemaUrl", 1, Kind::kString),
                                scalar("type", 2, Kind::kString),
                                {"idKeys", 3, Kind::kString, true, Type::kNone, false},
                                {"descriptionKeys", 4, Kind::kString, true, Type::kNone, false}};
constexpr Field kScope[] = {scalar("name", 1, Kind::kString), scalar("version", 2, Kind::kString),
                            messages("attributes", 3, Type::kKeyValue),
                            scalar("droppedAttributesCount", 4, Kind::kUint32)};
constexpr Field kSpan[] = {scalar("traceId", 1, Kind::kHex),
                           scalar("spanId", 2, Kind::kHex),
                           scalar("traceState", 3, Kind::kString),
                           scalar("parentSpanId", 4, Kind::kHex),
                           scalar("name", 5, Kind::kString),
                           scalar("kind", 6, Kind::kInt32),
                           scalar("startTimeUnixNano", 7, Kind::kFixed64),
                           scalar("endTimeUnixNano", 8, Kind::kFixed64),
                           messages("attributes", 9, Type::kKeyValue),
                           scalar("droppedAttributesCount", 10, Kind::kUint32),
                           messages("events", 11, Type::kEvent),
                           scalar("droppedEventsCount", 12, Kind::kUint32),
                           messages("links", 13, Type::kLink),
                           scalar("droppedLinksCount", 14, Kind::kUint32),
                           message("status", 15, Type::kStatus),
                           scalar("flags", 16, Kind::kFixed32)};
constexpr Field kEvent[] = {scalar("timeUnixNano", 1, Kind::kFixed64), scalar("name", 2, Kind::kString),
                            messages("attributes", 3, Type::kKeyValue),
                            scalar("droppedAttributesCount", 4, Kind::kUint32)};
constexpr Field kLink[] = {scalar("traceId", 1, Kind::kHex),
                           scalar("spanId", 2, Kind::kHex),
                           scalar("traceState", 3, Kind::kString),
                           messages("attributes", 4, Type::kKeyValue),
                           scalar("droppedAttributesCount", 5, Kind::kUint32),
                           scalar("flags", 6, Kind::kFixed32)};
constexpr Field kStatus[] = {scalar("message", 2, Kind::kString), scalar("code", 3, Kind::kInt32)};
constexpr Field kKeyValue[] = {scalar("key", 1, Kind::kString), message("value", 2, Type::kAnyValue)};
constexpr Field kAnyValue[] = {
    one_of("stringValue", 1, Kind::kString),     one_of("boolValue", 2, Kind::kBool),
    one_of("intValue", 3, Kind::kInt64),         one_of("doubleValue", 4, Kind::kDouble),
    message("arrayValue", 5, Type::kArrayValue), message("kvlistValue", 6, Type::kKeyValueList),
    one_of("bytesValue", 7, Kind::kBase64)};
constexpr Field kArrayValue[] = {messages("values", 1, Type::kAnyValue)};
constexpr Field kKeyValueList[] = {messages("values", 1, Type::kKeyValue)};

std::span<const Field> fields_of(Type type) {
  switch (type) {
    case Type::kNone:
      return {};
    case Type::kRequest:
      return kRequest;
    case Type::kResourceSpans:
      return kResourceSpans;
    case Type::kScopeSpans:
      return kScopeSpans;
    case Type::kResource:
      return kResource;
    case Type::kEntityRef:
      return kEntityRef;
    case Type::kScope:
      return kScope;
    case Type::kSpan:
      return kSpan;
    case Type::kEvent:
      return kEvent;
    case Type::kLink:
      return kLink;
    case Type::kStatus:
      return kStatus;
    case Type::kKeyValue:
      return kKeyValue;
    case Type::kAnyValue:
      return kAnyValue;
    case Type::kArrayValue:
      return kArrayValue;
    case Type::kKeyValueList:
      return kKeyValueList;
  }
  return {};
}

constexpr std::size_t kKeyMax = 64;  // longer than every name above

template <class T>
std::optional<T> integer(std::string_view text) {
  T value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec == std::errc() && end == text.data() + text.size()) return value;
  // "1e3" and "2.0" are integers to JSON; doubles tell them apart up to 2^53.
  double d = 0;
  const auto [dend, dec] = std::from_chars(text.data(), text.data() + text.size(), d);
  if (dec != std::errc() || dend != text.data() + text.size() || d != std::floor(d) ||
      std::fabs(d) > 9007199254740992.0)
    return std::nullopt;
  if (d < static_cast<double>(std::numeric_limits<T>::min()) || d > static_cast<double>(std::numeric_limits<T>::max()))
    return std::nullopt;
  return static_cast<T>(d);
}

std::optional<double> real(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  if (text.empty() || (text.front() != '-' && (text.front() < '0' || text.front() > '9'))) return std::nullopt;
  double d = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), d);
  if (end != text.data() + text.size() || ec == std::errc::invalid_argument) return std::nullopt;
  if (ec == std::errc::result_out_of_range) {  // from_chars says nothing of the direction: too small is 0
    const auto e = text.find_first_of("eE");
    const bool tiny = e != std::string_view::npos && text.substr(e + 1).starts_with('-');
    d = tiny ? 0.0 : std::numeric_limits<double>::infinity();
    if (text.front() == '-') d = -d;
  }
  return d;
}

// What the parser calls, event by event. The names and signatures are Boost.JSON's.
class Writer {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = max_object_size;
  static constexpr std::size_t max_key_size = max_object_size;
  static constexpr std::size_t max_string_size = max_object_size;

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) {
    if (skipped_ > 0 || (!stack_.empty() && slot() == nullptr)) {
      ++skipped_;
      return true;
    }
    if (stack_.empty()) {
      stack_.push_back({Type::kRequest, nullptr, nullptr, 0, 0});
      return true;
    }
    const Field& field = *slot();
    if (field.kind != Kind::kMessage || (field.repeated && !in_array())) return wrong("an object", ec);
    if (field.type == Type::kAnyValue && ++any_depth_ > kAnyValueDepthMax) return deep(ec);
    varint((field.number << 3) | 2);
    out.push_back('\0');
    stack_.push_back({field.type, nullptr, nullptr, out.size(), 0});
    return true;
  }

  bool on_object_end(std::size_t, json::error_code&) {
    if (skipped_ > 0) {
      --skipped_;
      if (skipped_ == 0) next();
      return true;
    }
    const Frame frame = stack_.back();
    stack_.pop_back();
    if (frame.type == Type::kAnyValue) --any_depth_;
    if (stack_.empty()) return true;
    close(frame.start);
    next();
    return true;
  }

  bool on_array_begin(json::error_code& ec) {
    if (skipped_ > 0 || (!stack_.empty() && slot() == nullptr)) {
      ++skipped_;
      return true;
    }
    if (stack_.empty() || !slot()->repeated || in_array()) return wrong("an array", ec);
    stack_.push_back({Type::kNone, slot(), slot(), 0, 0});
    return true;
  }

  bool on_array_end(std::size_t, json::error_code&) {
    if (skipped_ > 0) {
      --skipped_;
      if (skipped_ == 0) next();
      return true;
    }
    stack_.pop_back();
    next();
    return true;
  }

  bool on_key_part(json::string_view s, std::size_t, json::error_code&) {
    if (skipped_ == 0 && key_.size() <= kKeyMax) key_.append(s.data(), std::min(s.size(), kKeyMax + 1));
    return true;
  }
  bool on_key(json::string_view s, std::size_t n, json::error_code& ec) {
    if (skipped_ > 0) return true;
    on_key_part(s, n, ec);
    Frame& top = stack_.back();
    top.field = nullptr;
    for (const Field& field : fields_of(top.type)) {
      if (field.name == key_) top.field = &field;
    }
    key_.clear();
    return true;
  }

  bool on_string_part(json::string_view s, std::size_t, json::error_code&) {
    if (takes()) text_.append(s.data(), s.size());
    return true;
  }
  bool on_string(json::string_view s, std::size_t, json::error_code& ec) {
    if (!takes()) return ignored("a string", ec);
    std::string_view value(s.data(), s.size());
    if (!text_.empty()) value = text_.append(s.data(), s.size());
    if (!string_value(*slot(), value)) return wrong("a string", ec, value);
    text_.clear();
    next();
    return true;
  }

  bool on_number_part(json::string_view s, json::error_code&) {
    if (takes()) text_.append(s.data(), s.size());
    return true;
  }
  bool on_int64(std::int64_t, json::string_view s, json::error_code& ec) { return on_number(s, ec); }
  bool on_uint64(std::uint64_t, json::string_view s, json::error_code& ec) { return on_number(s, ec); }
  bool on_double(double, json::string_view s, json::error_code& ec) { return on_number(s, ec); }

  bool on_bool(bool value, json::error_code& ec) {
    if (!takes()) return ignored("a bool", ec);
    const Field& field = *slot();
    if (field.kind != Kind::kBool) return wrong("a bool", ec);
    number(field, value ? 1 : 0);
    next();
    return true;
  }

  bool on_null(json::error_code& ec) {
    if (!takes()) return ignored("null", ec);
    if (in_array()) {  // the default of an element is an empty one
      varint((slot()->number << 3) | 2);
      out.push_back('\0');
    }
    next();
    return true;
  }

  std::string path() const {
    std::string text;
    for (std::size_t i = 0; i < stack_.size(); ++i) {
      const Frame& frame = stack_[i];
      if (frame.array != nullptr) {
        text += fmt::format("[{}]", frame.index);
      } else if (frame.field != nullptr) {
        if (!text.empty()) text += '.';
        text += frame.field->name;
      }
    }
    return text.empty() ? "the document" : text;
  }

  std::string out;
  std::string problem;  // set when an event was refused

 private:
  struct Frame {
    Type type;            // of the object; kNone for an array
    const Field* array;   // the field this array is the value of
    const Field* field;   // where the next value goes; null: nobody knows it
    std::size_t start;    // of the object's bytes in `out`
    std::uint32_t index;  // of the next element
  };

  const Field* slot() const { return stack_.back().field; }
  bool in_array() const { return stack_.back().array != nullptr; }
  // The value to come is wanted: it is not inside or the value of something unknown.
  bool takes() const { return skipped_ == 0 && !stack_.empty() && slot() != nullptr; }

  void next() {
    if (!stack_.empty() && in_array()) ++stack_.back().index;
  }

  bool ignored(std::string_view got, json::error_code& ec) { return stack_.empty() ? wrong(got, ec) : true; }

  bool wrong(std::string_view got, json::error_code& ec, std::string_view text = {}) {
    std::string want = stack_.empty() ? "an object" : std::string(wanted(slot()->kind));
    if (!stack_.empty() && slot()->repeated && !in_array()) want = "an array";
    problem = fmt::format("{}: want {}, got {}", path(), want, got);
    if (!text.empty() && text.size() <= 40) problem += fmt::format(" '{}'", text);
    ec = json::error::exception;
    return false;
  }
  bool deep(json::error_code& ec) {
    problem = fmt::format("{} values inside each other, {} are taken", any_depth_, kAnyValueDepthMax);
    ec = json::error::too_deep;
    return false;
  }

  bool on_number(json::string_view s, json::error_code& ec) {
    if (!takes()) return ignored("a number", ec);
    std::string_view value(s.data(), s.size());
    if (!text_.empty()) value = text_.append(s.data(), s.size());
    const Field& field = *slot();
    const bool textual = field.kind == Kind::kString || field.kind == Kind::kHex || field.kind == Kind::kBase64;
    if (textual || !numeric_value(field, value)) return wrong("a number", ec, value);
    text_.clear();
    next();
    return true;
  }

  bool string_value(const Field& field, std::string_view s) {
    if (field.repeated && !in_array()) return false;
    switch (field.kind) {
      case Kind::kString:
        if (!s.empty() || field.in_oneof || field.repeated) bytes(field, s);
        return true;
      case Kind::kHex: {
        if (s.empty()) return true;
        const std::size_t start = open(field);
        out.resize(start + s.size() / 2);
        if (!read_hex(s, out.data() + start)) return false;
        close(start);
        return true;
      }
      case Kind::kBase64: {
        const std::size_t start = open(field);
        if (!read_base64(s, kBase64Protobuf, out)) return false;
        close(start);
        return true;
      }
      case Kind::kMessage:
      case Kind::kBool:
        return false;
      case Kind::kInt32:
        // An enum's name is not taken (OTLP: "only integers"); all 32-bit signed fields of traces are enums.
        return false;
      default:
        return numeric_value(field, s);
    }
  }

  bool numeric_value(const Field& field, std::string_view s) {
    switch (field.kind) {
      case Kind::kInt32:
        if (const auto v = integer<std::int32_t>(s))
          return number(field, static_cast<std::uint64_t>(static_cast<std::int64_t>(*v)));
        return false;
      case Kind::kUint32:
        if (const auto v = integer<std::uint32_t>(s)) return number(field, *v);
        return false;
      case Kind::kInt64:
        if (const auto v = integer<std::int64_t>(s)) return number(field, static_cast<std::uint64_t>(*v));
        return false;
      case Kind::kFixed64:
        if (const auto v = integer<std::uint64_t>(s)) return fixed<8>(field, *v, 1);
        return false;
      case Kind::kFixed32:
        if (const auto v = integer<std::uint32_t>(s)) return fixed<4>(field, *v, 5);
        return false;
      case Kind::kDouble:
        if (const auto v = real(s)) return fixed<8>(field, std::bit_cast<std::uint64_t>(*v), 1);
        return false;
      default:
        return false;
    }
  }

  void varint(std::uint64_t v) { pb::append_varint(out, v); }

  bool number(const Field& field, std::uint64_t v) {
    if (v == 0 && !field.in_oneof) return true;
    varint(field.number << 3);
    varint(v);
    return true;
  }

  template <int N>
  bool fixed(const Field& field, std::uint64_t v, std::uint32_t wire_type) {
    if (v == 0 && !field.in_oneof) return true;
    varint((field.number << 3) | wire_type);
    for (int i = 0; i < N; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
    return true;
  }

  void bytes(const Field& field, std::string_view s) {
    varint((field.number << 3) | 2);
    varint(s.size());
    out.append(s);
  }

  // A length-delimited field whose length is not known yet: one byte is left for it; close() makes room when it takes
  // more.
  std::size_t open(const Field& field) {
    varint((field.number << 3) | 2);
    out.push_back('\0');
    return out.size();
  }
  void close(std::size_t start) {
    const std::size_t size = out.size() - start;
    const std::size_t more = pb::varint_size(size) - 1;
    if (more != 0) out.insert(start, more, '\0');
    pb::write_varint(out.data() + start - 1, size);
  }

  std::vector<Frame> stack_;
  std::string key_;
  std::string text_;
  std::size_t skipped_ = 0;  // depth inside a value nobody knows
  int any_depth_ = 0;
};

}  // namespace

Result<std::string> otlp_json_to_proto(ByteView text) {
  json::parse_options options;
  options.max_depth = kAnyValueDepthMax * 4 + 32;  // a value in a list of pairs is four levels of JSON
  try {
    json::basic_parser<Writer> parser(options);
    Writer& writer = parser.handler();
    writer.out.reserve(text.size());  // enough for every document, and touched only as it fills
    json::error_code ec;
    const std::size_t n = parser.write_some(false, text.data(), text.size(), ec);
    if (!writer.problem.empty()) return fail(ErrorKind::kBadInput, std::move(writer.problem));
    if (!ec && n < text.size()) ec = json::error::extra_data;
    if (ec) return fail(ErrorKind::kBadInput, fmt::format("at byte {}, {}: {}", n, writer.path(), ec.message()));
    return std::move(writer.out);
  } catch (const std::exception& e) {
    return fail(ErrorKind::kBadInput, fmt::format("cannot read the JSON: {}", e.what()));
  }
}

}  // namespace tailgate
