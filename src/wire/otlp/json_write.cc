#include "wire/otlp/json_write.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/field_reader.h"
#include "codec/json_text.h"

namespace tailgate {
namespace {

constexpr int kDepthMax = 64;  // of values inside values
constexpr std::size_t kFieldsMax = 16;
// With a room: pieces in which the parts of one message may come, and items of a text beside one for each 4 bytes.
constexpr std::size_t kPiecesMax = 16'384, kItemsFree = 65'536, kItemBytes = 4;

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

// What a repeated field counts as. kOther: as an attribute that no dropped count is for.
enum class Item : std::uint8_t { kNone, kAttribute, kEvent, kLink, kOther };

struct Message;

// One field of a message. The schema is plain tables: opentelemetry/proto/{trace,common,resource}/v1.
struct Field {
  std::uint32_t number;
  std::string_view name;
  Kind kind;
  bool repeated = false;
  Absent absent = Absent::kOmit;
  const Message* message = nullptr;
  Item item = Item::kNone;
  Item dropped = Item::kNone;  // what it is the dropped count of
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
  return {number, "attributes", Kind::kMessage, true, Absent::kOmit, &kKeyValue, Item::kAttribute};
}
constexpr Field dropped(std::uint32_t number, std::string_view name, Item item) {
  return {number, name, Kind::kUint32, false, Absent::kOmit, nullptr, Item::kNone, item};
}
constexpr Field dropped_attributes(std::uint32_t number) {
  return dropped(number, "droppedAttributesCount", Item::kAttribute);
}

constexpr std::array kEntityRefFields = {
    Field{1, "schemaUrl", Kind::kText},
    Field{2, "type", Kind::kText},
    Field{3, "idKeys", Kind::kText, true, Absent::kOmit, nullptr, Item::kOther},
    Field{4, "descriptionKeys", Kind::kText, true, Absent::kOmit, nullptr, Item::kOther},
};
constexpr Message kEntityRef{kEntityRefFields};

constexpr std::array kResourceFields = {
    attributes(1), dropped_attributes(2),
    Field{3, "entityRefs", Kind::kMessage, true, Absent::kOmit, &kEntityRef, Item::kOther}};
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
    Field{11, "events", Kind::kMessage, true, Absent::kOmit, &kEvent, Item::kEvent},
    dropped(12, "droppedEventsCount", Item::kEvent),
    Field{13, "links", Kind::kMessage, true, Absent::kOmit, &kLink, Item::kLink},
    dropped(14, "droppedLinksCount", Item::kLink),
    Field{15, "status", Kind::kMessage, false, Absent::kEmpty, &kStatus},
};
constexpr Message kSpan{kSpanFields};
static_assert(kSpanFields.size() == kFieldsMax);

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

pb::WireType wire_type(Kind kind) {
  switch (kind) {
    case Kind::kText:
    case Kind::kId:
    case Kind::kBase64:
    case Kind::kMessage:
      return pb::kLen;
    case Kind::kFixed64:
    case Kind::kDouble:
      return pb::kFixed64;
    case Kind::kFixed32:
      return pb::kFixed32;
    case Kind::kUint32:
    case Kind::kInt32:
    case Kind::kInt64:
    case Kind::kBool:
      return pb::kVarint;
  }
  return pb::kVarint;
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

class Writer {
 public:
  // `room` may be null: then all is written.
  Writer(std::string& out, ItemRoom* room) : out_(out), room_(room) {}

  // Recursion follows the schema; the only cycle in it goes through kAnyValue, which is counted.
  void message(const Message& schema, ByteView bytes, int depth) {
    Level level(schema, came_.size());
    begin(schema);
    read(level, bytes);
    write(level, depth);
  }

  bool ok() const { return ok_; }

 private:
  // A message that is being written, and where its fields are in came_.
  struct Level {
    Level(const Message& of, std::size_t from) : schema(of), base(from) {}

    const Message& schema;
    const std::size_t base;
    std::uint32_t seen = 0;  // bits: fields that came
    std::uint32_t pieces = 0;
    std::array<std::uint32_t, kFieldsMax> at = {};  // of these, the last one in came_
    std::array<std::uint64_t, 4> left_out = {};     // by Item
  };

  void begin(const Message& schema) {
    if (room_ == nullptr) return;
    if (&schema == &kSpan) room_->begin();
    if (&schema == &kResource || &schema == &kScope) room_->begin(kPrefixAttributesMax);
  }

  void read(Level& level, ByteView bytes) {
    const Message& schema = level.schema;
    FieldReader reader(bytes);
    while (reader.next()) {
      for (std::uint32_t i = 0; i < schema.fields.size(); ++i) {
        const Field& f = schema.fields[i];
        if (f.number == reader.number && wire_type(f.kind) == reader.type) take(level, i, reader);
      }
    }
    ok_ = ok_ && reader.ok();
  }

  // Keeps what counts: every element of a list and every piece of a message, of a scalar the last one, of a oneof the
  // field that came last.
  void take(Level& level, std::uint32_t i, const FieldReader& reader) {
    const Field& f = level.schema.fields[i];
    const Came came{i, reader.value, reader.bytes};
    if (f.repeated) {
      if (!has_room(level, f.item)) return;
    } else if (level.schema.oneof && came_.size() > level.base && came_.back().field != i) {
      came_.resize(level.base);
      level.seen = 0;
    }
    if (!f.repeated && (level.seen >> i & 1) != 0) {
      if (f.kind != Kind::kMessage) {
        came_[level.at[i]] = came;
        return;
      }
      if (reader.bytes.empty() || (room_ != nullptr && ++level.pieces > kPiecesMax)) return;
    }
    level.seen |= 1u << i;
    level.at[i] = static_cast<std::uint32_t>(came_.size());
    came_.push_back(came);
  }

  bool has_room(Level& level, Item item) {
    if (room_ == nullptr || item == Item::kNone) return true;
    const bool room = item == Item::kEvent ? room_->event() : item == Item::kLink ? room_->link() : room_->attribute();
    if (!room && item != Item::kOther) ++level.left_out[static_cast<std::size_t>(item)];
    return room;
  }

  // What was left out joins what the sender has dropped.
  void count(Level& level, std::uint32_t i) {
    const std::uint64_t more = level.left_out[static_cast<std::size_t>(level.schema.fields[i].dropped)];
    if (more == 0) return;
    if ((level.seen >> i & 1) == 0) {
      level.at[i] = static_cast<std::uint32_t>(came_.size());
      came_.push_back({i, 0, {}});
    }
    Came& came = came_[level.at[i]];
    came.value = dropped_sum(came.value, more);
  }

  void write(Level& level, int depth) {
    const Message& schema = level.schema;
    for (std::uint32_t i = 0; i < schema.fields.size(); ++i) count(level, i);
    const std::size_t end = came_.size();
    out_ += '{';
    bool first = true;
    for (std::uint32_t i = 0; i < schema.fields.size(); ++i) field(schema, i, level.base, end, depth, first);
    out_ += '}';
    came_.resize(level.base);
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
      value_message(*f.message, at, base, end, depth);
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
        value_message(*f.message, at, i, i + 1, depth);
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

  // The message that the fields numbered `at` from `from` to `to` are the pieces of.
  void value_message(const Message& schema, std::uint32_t at, std::size_t from, std::size_t to, int depth) {
    if (schema.oneof && ++depth > kDepthMax) {
      out_ += "null";
      return;
    }
    // Inside an attribute, not inside one of its values: with all that is in it.
    const bool outermost = room_ != nullptr && depth == 1 && (&schema == &kArrayValue || &schema == &kKeyValueList);
    Level level(schema, came_.size());
    begin(schema);
    for (std::size_t i = from; i < to; ++i) {
      if (came_[i].field != at) continue;
      const ByteView bytes = came_[i].bytes;
      read(level, outermost ? room_->values(bytes) : bytes);
    }
    write(level, depth);
  }

  void scalar(Kind kind, const Came& came) {
    switch (kind) {
      case Kind::kText:
        append_json_string(out_, room_ != nullptr ? room_->text(came.bytes) : came.bytes);
        return;
      case Kind::kId:
        append_quoted_hex(out_, came.bytes);
        return;
      case Kind::kBase64:
        append_quoted_base64(out_, came.bytes);
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
  ItemRoom* const room_;
  std::vector<Came> came_;  // a stack: each message uses what is above its base
  bool ok_ = true;
};

}  // namespace

bool append_otlp_json(std::string& out, ByteView otlp, CutItems* cut) {
  ItemRoom room(otlp.size(), kItemsFree + otlp.size() / kItemBytes);
  Writer writer(out, cut != nullptr ? &room : nullptr);
  writer.message(kTracesData, otlp, 0);
  if (cut != nullptr) *cut += room.cut;
  return writer.ok();
}

// Its elements are what a whole object has between its first and last characters, which never change.
bool OtlpJsonList::add(ByteView otlp, CutItems* cut) {
  constexpr std::string_view kFront = R"({"resourceSpans":[)", kBack = "]}";
  const std::size_t from = out_.size();
  const bool good = append_otlp_json(out_, otlp, cut);
  out_.resize(out_.size() - kBack.size());
  if (out_.size() - from == kFront.size()) {  // nothing in it
    out_.resize(from);
    return good;
  }
  out_.replace(from, kFront.size(), first_ ? "" : ",");
  first_ = false;
  return good;
}

}  // namespace tailgate
