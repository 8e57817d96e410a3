#include "wire/otlp_json_write.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "wire/field_reader.h"
#include "wire/json_write.h"

namespace tailgate {
namespace {

constexpr int kDepthMax = 64;  // of values inside values

enum class Kind : std::uint8_t {
  kText,
  kId,
  kBase64,
  kUint32,
  kFixed32,
  kInt32,
  kFixed64,
  kInt64,
  kBool,
  kDouble,
  kMessage
};

// When a field is written that did not come: never, or as the empty value the Collector writes.
enum class Absent : std::uint8_t { kOmit, kEmpty };

struct Message;

// One field of a message. The schema is plain tables: opentelemetry/proto/{trace,common,resource}/v1.
struct Field {
  std::uint32_t number;
  std::string_view name;
  Kind kind;
  bool repeated = false;
  Absent absent = Absent::kOmit;
  const Message* message = nullptr;
};

struct Message {
  std::span<const Field> fields;
  bool oneof = false;  // all fields are one oneof: the last to come is the one that counts, even with a default value
};

extern const Message kAnyValue;
extern const Message kKeyValue;

constexpr std::array kArrayValueFields = {Field{1, "values", Kind::kMessage, true, Absent::kEmpty, &kAnyValue}};
constexpr std::array kKeyValueListFields = {Field{1, "values", Kind::kMessage, true, Absent::kEmpty, &kKeyValue}};
constexpr Message kArrayValue{kArrayValueFields};
constexpr Message kKeyValueList{kKeyValueListFields};

constexpr std::array kAnyValueFields = {
    Field{1, "stringValue", Kind::kText},
    Field{2, "boolValue", Kind::kBool},
    Field{3, "intValue", Kind::kInt64},
    Field{4, "doubleValue", Kind::kDouble},
    Field{5, "arrayValue", Kind::kMessage, false, Absent::kOmit, &kArrayValue},
    Field{6, "kvlistValue", Kind::kMessage, false, Absent::kOmit, &kKeyValueList},
    Field{7, "bytesValue", Kind::kBase64},
};
constexpr Message kAnyValue{kAnyValueFields, true};

constexpr std::array kKeyValueFields = {
    Field{1, "key", Kind::kText, false, Absent::kEmpty},
    Field{2, "value", Kind::kMessage, false, Absent::kEmpty, &kAnyValue},
};
constexpr Message kKeyValue{kKeyValueFields};

constexpr Field attributes(std::uint32_t number) {
  return {number, "attributes", Kind::kMessage, true, Absent::kOmit, &kKeyValue};
}
constexpr Field dropped_attributes(std::uint32_t number) { return {number, "droppedAttributesCount", Kind::kUint32}; }

constexpr std::array kEntityRefFields = {
    Field{1, "schemaUrl", Kind::kText},
    Field{2, "type", Kind::kText},
    Field{3, "idKeys", Kind::kText, true},
    Field{4, "descriptionKeys", Kind::kText, true},
};
constexpr Message kEntityRef{kEntityRefFields};

constexpr std::array kResourceFields = {attributes(1), dropped_attributes(2),
                                        Field{3, "entityRefs", Kind::kMessage, true, Absent::kOmit, &kEntityRef}};
constexpr Message kResource{kResourceFields};

constexpr std::array kScopeFields = {Field{1, "name", Kind::kText}, Field{2, "version", Kind::kText}, attributes(3),
                                     dropped_attributes(4)};
constexpr Message kScope{kScopeFields};

constexpr std::array kStatusFields = {Field{2, "message", Kind::kText}, Field{3, "code", Kind::kInt32}};
constexpr Message kStatus{kStatusFields};

constexpr std::array kEventFields = {Field{1, "timeUnixNano", Kind::kFixed64}, Field{2, "name", Kind::kText},
                                     attributes(3), dropped_attributes(4)};
constexpr Message kEvent{kEventFields};

constexpr std::array kLinkFields = {
    Field{1, "traceId", Kind::kId, false, Absent::kEmpty},
    Field{2, "spanId", Kind::kId, false, Absent::kEmpty},
    Field{3, "traceState", Kind::kText},
    attributes(4),
    dropped_attributes(5),
    Field{6, "flags", Kind::kFixed32},
};
constexpr Message kLink{kLinkFields};

constexpr std::array kSpanFields = {
    Field{1, "traceId", Kind::kId, false, Absent::kEmpty},
    Field{2, "spanId", Kind::kId, false, Absent::kEmpty},
    Field{3, "traceState", Kind::kText},
    Field{4, "parentSpanId", Kind::kId, false, Absent::kEmpty},
    Field{16, "flags", Kind::kFixed32},
    Field{5, "name", Kind::kText},
    Field{6, "kind", Kind::kInt32},
    Field{7, "startTimeUnixNano", Kind::kFixed64},
    Field{8, "endTimeUnixNano", Kind::kFixed64},
    attributes(9),
    dropped_attributes(10),
    Field{11, "events", Kind::kMessage, true, Absent::kOmit, &kEvent},
    Field{12, "droppedEventsCount", Kind::kUint32},
    Field{13, "links", Kind::kMessage, true, Absent::kOmit, &kLink},
    Field{14, "droppedLinksCount", Kind::kUint32},
    Field{15, "status", Kind::kMessage, false, Absent::kEmpty, &kStatus},
};
constexpr Message kSpan{kSpanFields};

constexpr std::array kScopeSpansFields = {
    Field{1, "scope", Kind::kMessage, false, Absent::kEmpty, &kScope},
    Field{2, "spans", Kind::kMessage, true, Absent::kOmit, &kSpan},
    Field{3, "schemaUrl", Kind::kText},
};
constexpr Message kScopeSpans{kScopeSpansFields};

constexpr std::array kResourceSpansFields = {
    Field{1, "resource", Kind::kMessage, false, Absent::kEmpty, &kResource},
    Field{2, "scopeSpans", Kind::kMessage, true, Absent::kOmit, &kScopeSpans},
    Field{3, "schemaUrl", Kind::kText},
};
constexpr Message kResourceSpans{kResourceSpansFields};

constexpr std::array kTracesDataFields = {
    Field{1, "resourceSpans", Kind::kMessage, true, Absent::kEmpty, &kResourceSpans}};
constexpr Message kTracesData{kTracesDataFields};

WireType wire_type(Kind kind) {
  switch (kind) {
    case Kind::kText:
    case Kind::kId:
    case Kind::kBase64:
    case Kind::kMessage:
      return WireType::kBytes;
    case Kind::kFixed64:
    case Kind::kDouble:
      return WireType::kFixed64;
    case Kind::kFixed32:
      return WireType::kFixed32;
    case Kind::kUint32:
    case Kind::kInt32:
    case Kind::kInt64:
    case Kind::kBool:
      return WireType::kVarint;
  }
  return WireType::kVarint;
}

// One field as it came, by its place in the schema.
struct Came {
  std::uint32_t field;
  std::uint64_t value;
  ByteView bytes;
};

void append_double(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "\"NaN\"";
  } else if (std::isinf(value)) {
    out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  } else {
    append_number(out, value);
  }
}

// Length of the valid UTF-8 sequence at the front of `text`, or 0 (RFC 3629: no overlong forms, no surrogates).
std::size_t utf8_sequence(ByteView text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<std::uint8_t>(text[i]) : 0u; };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0 && byte(1) < 0xa0) return 0;
    if (first == 0xed && byte(1) > 0x9f) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  // Recursion follows the schema; the only cycle in it goes through kAnyValue, which is counted.
  void message(const Message& schema, ByteView bytes, int depth) {
    const std::size_t base = came_.size();
    FieldReader reader(bytes);
    while (reader.next()) {
      for (std::uint32_t i = 0; i < schema.fields.size(); ++i) {
        const Field& f = schema.fields[i];
        if (f.number == reader.number && wire_type(f.kind) == reader.type)
          came_.push_back({i, reader.value, reader.bytes});
      }
    }
    ok_ = ok_ && reader.ok();
    const std::size_t end = came_.size();
    if (schema.oneof) keep_last_of_oneof(base, end);

    out_ += '{';
    bool first = true;
    for (std::uint32_t i = 0; i < schema.fields.size(); ++i) field(schema, i, base, end, depth, first);
    out_ += '}';
    came_.resize(base);
  }

  bool ok() const { return ok_; }

 private:
  static constexpr std::uint32_t kGone = UINT32_MAX;

  // Of a oneof only the last field counts; pieces of one message before it are merged unless another field came
  // between.
  void keep_last_of_oneof(std::size_t base, std::size_t end) {
    if (base == end) return;
    const std::uint32_t last = came_[end - 1].field;
    bool same = true;
    for (std::size_t i = end; i-- > base;) {
      same = same && came_[i].field == last;
      if (!same) came_[i].field = kGone;
    }
  }

  void key(std::string_view name, bool& first) {
    if (!first) out_ += ',';
    first = false;
    out_ += '"';
    out_ += name;
    out_ += "\":";
  }

  void field(const Message& schema, std::uint32_t at, std::size_t base, std::size_t end, int depth, bool& first) {
    const Field& f = schema.fields[at];
    if (f.repeated) {
      list(f, at, base, end, depth, first);
      return;
    }
    std::size_t count = 0;
    std::size_t last = 0;
    for (std::size_t i = base; i < end; ++i) {
      if (came_[i].field != at) continue;
      ++count;
      last = i;
    }
    if (f.kind == Kind::kMessage) {
      if (count == 0 && f.absent == Absent::kOmit) return;
      key(f.name, first);
      if (count <= 1) {
        value_message(*f.message, count == 0 ? ByteView{} : came_[last].bytes, depth);
        return;
      }
      std::string merged;  // concatenation is protobuf's own merge
      for (std::size_t i = base; i < end; ++i) {
        if (came_[i].field == at) merged.append(came_[i].bytes);
      }
      value_message(*f.message, merged, depth);
      return;
    }
    const Came none{at, 0, {}};
    const Came came = count == 0 ? none : came_[last];
    const bool is_default = came.value == 0 && came.bytes.empty();
    if (schema.oneof ? count == 0 : (is_default && f.absent == Absent::kOmit)) return;
    key(f.name, first);
    scalar(f.kind, came);
  }

  void list(const Field& f, std::uint32_t at, std::size_t base, std::size_t end, int depth, bool& first) {
    bool open = false;
    for (std::size_t i = base; i < end; ++i) {
      if (came_[i].field != at) continue;
      if (!open) key(f.name, first);
      out_ += open ? ',' : '[';
      open = true;
      const Came came = came_[i];
      if (f.kind == Kind::kMessage) {
        value_message(*f.message, came.bytes, depth);
      } else {
        scalar(f.kind, came);
      }
    }
    if (open) {
      out_ += ']';
    } else if (f.absent == Absent::kEmpty) {
      key(f.name, first);
      out_ += "[]";
    }
  }

  void value_message(const Message& schema, ByteView bytes, int depth) {
    if (schema.oneof && ++depth > kDepthMax) {
      out_ += "null";
      return;
    }
    message(schema, bytes, depth);
  }

  void scalar(Kind kind, const Came& came) {
    switch (kind) {
      case Kind::kText:
        append_json_string(out_, came.bytes);
        return;
      case Kind::kId:
        append_hex(out_, came.bytes);
        return;
      case Kind::kBase64:
        append_base64(out_, came.bytes);
        return;
      case Kind::kUint32:
      case Kind::kFixed32:
        append_number(out_, static_cast<std::uint32_t>(came.value));
        return;
      case Kind::kInt32:
        append_number(out_, static_cast<std::int32_t>(came.value));
        return;
      case Kind::kFixed64:
        append_quoted(out_, came.value);
        return;
      case Kind::kInt64:
        append_quoted(out_, static_cast<std::int64_t>(came.value));
        return;
      case Kind::kBool:
        out_ += came.value != 0 ? "true" : "false";
        return;
      case Kind::kDouble:
        append_double(out_, std::bit_cast<double>(came.value));
        return;
      case Kind::kMessage:
        return;
    }
  }

  std::string& out_;
  std::vector<Came> came_;  // a stack: each message uses what is above its base
  bool ok_ = true;
};

}  // namespace

void append_json_string(std::string& out, ByteView text) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;  // start of the bytes not yet copied
  std::size_t i = 0;
  const auto flush = [&](std::size_t skip) {
    out.append(text.substr(plain, i - plain));
    i += skip;
    plain = i;
  };
  while (i < text.size()) {
    const auto c = static_cast<std::uint8_t>(text[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      ++i;
    } else if (c >= 0x80) {
      const std::size_t size = utf8_sequence(text.substr(i));
      if (size > 0) {
        i += size;
      } else {
        flush(1);
        out += "\xEF\xBF\xBD";
      }
    } else {
      flush(1);
      out += '\\';
      switch (c) {
        case '"':
        case '\\':
          out += static_cast<char>(c);
          break;
        case '\n':
          out += 'n';
          break;
        case '\r':
          out += 'r';
          break;
        case '\t':
          out += 't';
          break;
        default:
          out += "u00";
          out += kDigits[c >> 4];
          out += kDigits[c & 15];
      }
    }
  }
  flush(0);
  out += '"';
}

bool append_otlp_json(std::string& out, ByteView otlp) {
  Writer writer(out);
  writer.message(kTracesData, otlp, 0);
  return writer.ok();
}

}  // namespace tailgate
