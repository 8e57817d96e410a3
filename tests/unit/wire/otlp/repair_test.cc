// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/repair.h"

#include <google/protobuf/message.h>
#include <catch2/catch.hpp>

#include "codec/utf8.h"
#include "support/backward_otlp.h"
#include "support/otlp_builder.h"
#include "support/random_otlp.h"
#include "support/scan_twin.h"
#include "support/strict_otlp.h"

using namespace tailgate;
using namespace tailgate::test;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace {

const std::string kBad = "caf\xe9";
const std::string kRepaired = "caf\xEF\xBF\xBD";

std::string fields_but(ByteView message, std::uint32_t left_out) {
  std::string out;
  pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
    const char* const value = p;
    if (!pb::skip_value(p, end, tag)) return false;
    if (tag >> 3 == left_out) return true;
    pb::append_varint(out, tag);
    out.append(value, p);
    return true;
  });
  return out;
}

// A request with one span, through form_of() and repair() as a kept trace goes.
struct Sent {
  explicit Sent(const twin::TracesData& data) {
    const twin::ResourceSpans& resource = data.resource_spans(0);
    const twin::ScopeSpans& scope = resource.scope_spans(0);
    take(0, fields_but(resource.SerializeAsString(), otlp::resource_spans::kScopeSpans), Part::kResource);
    take(1, fields_but(scope.SerializeAsString(), otlp::scope_spans::kSpans), Part::kScope);
    take(2, scope.spans(0).SerializeAsString(), Part::kSpan);
    std::vector<FrameSpan> spans = {{bytes[0], bytes[1], bytes[2]}};
    frame_trace(spans, request);
  }

  void take(std::size_t i, const std::string& in, Part part) {
    const Form form = form_of(in, part);
    REQUIRE(form != Form::kBroken);
    if (form == Form::kSound) {
      bytes[i] = in;
    } else {
      repair(in, part, bytes[i], repairs);
    }
  }

  std::array<std::string, 3> bytes;
  std::string request;
  Repairs repairs;
};

twin::TracesData full() {
  twin::TracesData data = traces({{.id = 1, .name = "name", .attributes = {{"k", "v"}}}});
  twin::ResourceSpans& resource = *data.mutable_resource_spans(0);
  resource.set_schema_url("s");
  twin::EntityRef& entity = *resource.mutable_resource()->add_entity_refs();
  entity.set_schema_url("s");
  entity.set_type("t");
  entity.add_id_keys("k");
  entity.add_description_keys("k");
  twin::ScopeSpans& scope = *resource.mutable_scope_spans(0);
  scope.set_schema_url("s");
  scope.mutable_scope()->set_name("n");
  scope.mutable_scope()->set_version("1");
  scope.mutable_scope()->add_attributes()->set_key("k");
  twin::Span& span = *scope.mutable_spans(0);
  span.set_trace_state("ot=th:8");
  span.mutable_status()->set_message("m");
  span.add_events()->set_name("e");
  span.mutable_events(0)->add_attributes()->set_key("k");
  span.add_links()->set_trace_state("x=1");
  span.mutable_links(0)->add_attributes()->set_key("k");
  twin::AnyValue& map = *span.add_attributes()->mutable_value();
  map.mutable_kvlist_value()->add_values()->mutable_value()->mutable_array_value()->add_values()->set_string_value("v");
  return data;
}

template <class Act>
void each_text(Message& message, Act act) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      for (int i = 0; field->is_repeated() && i < message.GetReflection()->FieldSize(message, field); ++i) {
        each_text(*message.GetReflection()->MutableRepeatedMessage(&message, field, i), act);
      }
      if (!field->is_repeated()) each_text(*message.GetReflection()->MutableMessage(&message, field), act);
    } else if (is_text_field(*field)) {
      act(message, *field);
    }
  }
}

void set_text(Message& message, const FieldDescriptor& field, int i, const std::string& text) {
  if (field.is_repeated()) {
    message.GetReflection()->SetRepeatedString(&message, &field, i, text);
  } else {
    message.GetReflection()->SetString(&message, &field, text);
  }
}

std::string text_of_field(const Message& message, const FieldDescriptor& field, int i) {
  return field.is_repeated() ? message.GetReflection()->GetRepeatedString(message, &field, i)
                             : message.GetReflection()->GetString(message, &field);
}

// The slower twin of repair(): libprotobuf reads, the texts are set, libprotobuf writes.
twin::TracesData repaired_by_twin(twin::TracesData data) {
  each_text(data, [](Message& message, const FieldDescriptor& field) {
    const int size = field.is_repeated() ? message.GetReflection()->FieldSize(message, &field) : 1;
    for (int i = 0; i < size; ++i) {
      set_text(message, field, i, to_utf8(text_of_field(message, field, i), kReplacementCharacter));
    }
  });
  return data;
}

// An attribute whose value is an array in an array and so on, `arrays` deep, with "v" inside.
twin::TracesData nested_arrays(int arrays) {
  twin::TracesData data = traces({{.id = 1}});
  twin::KeyValue& attribute =
      *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0)->add_attributes();
  attribute.set_key("deep");
  twin::AnyValue* value = attribute.mutable_value();
  for (int i = 0; i < arrays; ++i) value = value->mutable_array_value()->add_values();
  value->set_string_value("v");
  return data;
}

}  // namespace

TEST_CASE("every text of OTLP that is not UTF-8 is repaired, wherever it stands", "[wire]") {
  const twin::TracesData sound = full();
  std::size_t texts = 0;
  twin::TracesData counted = sound;
  std::set<std::string> kinds;
  each_text(counted, [&](Message&, const FieldDescriptor& field) {
    ++texts;
    kinds.insert(field.full_name());
  });
  std::size_t known = 0;  // texts in OTLP's schema
  for (std::size_t i = 0; i < otlp::kMessageTypes; ++i) {
    for (const otlp::Field& field : otlp::fields_of(static_cast<otlp::MessageType>(i))) {
      known += field.kind == otlp::FieldKind::kText;
    }
  }
  CHECK(kinds.size() == known);
  for (std::size_t i = 0; i < texts; ++i) {
    twin::TracesData data = sound, expected = sound;
    const auto set = [&](twin::TracesData& in, const std::string& text) {
      std::size_t at = 0;
      each_text(in, [&](Message& message, const FieldDescriptor& field) {
        if (at++ == i) set_text(message, field, 0, text);
      });
    };
    set(data, kBad);
    set(expected, kRepaired);
    INFO(expected.ShortDebugString());
    CHECK_FALSE(strictly_parses(data.SerializeAsString()));
    const Sent sent(data);
    CHECK(sent.repairs.texts == 1);
    CHECK(strictly_parses(sent.request));
    REQUIRE(data.ParseFromString(sent.request));
    CHECK(data.SerializeAsString() == expected.SerializeAsString());
  }
}

TEST_CASE("bytes that are no texts are not looked into", "[wire]") {
  twin::TracesData data = traces({{.id = 1}});
  twin::Span& span = *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
  span.add_attributes()->mutable_value()->set_bytes_value(kBad);
  span.GetReflection()->MutableUnknownFields(&span)->AddLengthDelimited(1000, kBad);
  const std::string bytes = span.SerializeAsString();
  CHECK(form_of(bytes, Part::kSpan) == Form::kSound);
  span.set_name(kBad);
  const Sent sent(data);
  span.set_name(kRepaired);
  CHECK(sent.bytes[2] == span.SerializeAsString());
}

TEST_CASE("a length that grows by a byte when its message is repaired is written anew", "[wire]") {
  for (const std::size_t size : std::initializer_list<std::size_t>{100, 125, 126, 127, 128, 16'250, 16'383, 16'384}) {
    twin::TracesData data = nested_arrays(3), expected = data;
    const auto fill = [&](twin::TracesData& in, const std::string& end) {
      each_text(in, [&](Message& message, const FieldDescriptor& field) {
        if (field.name() == "string_value") set_text(message, field, 0, std::string(size, 'x') + end);
      });
    };
    fill(data, "\xff");
    fill(expected, "\xEF\xBF\xBD");
    CHECK(Sent(data).request == expected.SerializeAsString());
  }
}

TEST_CASE("values nested more deeply than parsers take are left out, and no others", "[wire]") {
  for (const int arrays : {0, 1, 46, 47}) {
    const Sent sent(nested_arrays(arrays));
    INFO(arrays << " arrays");
    CHECK(sent.repairs.values == 0);
    CHECK(strictly_parses(sent.request));
  }
  for (const int arrays : {48, 49, 60}) {
    INFO(arrays << " arrays");
    const Sent sent(nested_arrays(arrays));
    CHECK(sent.repairs.values == 1);
    CHECK(strictly_parses(sent.request));
    CHECK(sent.request.find("deep") != std::string::npos);
  }
  // On a resource, which is two messages nearer to the request, one more array fits.
  for (const auto& [arrays, cut] : {std::pair{48, 0u}, {49, 1u}}) {
    twin::TracesData data = nested_arrays(arrays);
    twin::Span& span = *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
    data.mutable_resource_spans(0)->mutable_resource()->mutable_attributes()->Swap(span.mutable_attributes());
    const Sent sent(data);
    CHECK(sent.repairs.values == cut);
    CHECK(strictly_parses(sent.request));
  }
}

TEST_CASE("repair agrees with libprotobuf on texts of any bytes", "[wire]") {
  std::size_t repaired = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    std::string bytes = RandomOtlp(seed).request();
    Random random(seed + 5'000'000);
    for (std::uint64_t n = 1 + random.below(4); n != 0 && !bytes.empty(); --n) {
      bytes[random.below(bytes.size())] = static_cast<char>(0x80 | random.next());
    }
    twin::TracesData data;
    if (!data.ParseFromString(bytes)) continue;
    SpanBatch batch;
    if (!scan_request(bytes, ScanPlan(), batch, [](SpanBatch&) { return true; }).ok) continue;
    for (const BatchSpan& span : batch.spans) {
      const ByteView content(span.data, span.size);
      twin::Span expected;
      REQUIRE(expected.ParseFromArray(content.data(), static_cast<int>(content.size())));
      twin::TracesData whole;
      *whole.add_resource_spans()->add_scope_spans()->add_spans() = expected;
      whole = repaired_by_twin(whole);
      expected = whole.resource_spans(0).scope_spans(0).spans(0);
      Repairs repairs;
      std::string out(content);
      if (form_of(content, Part::kSpan) == Form::kRepairable) {
        out.clear();
        repair(content, Part::kSpan, out, repairs);
        ++repaired;
      }
      twin::Span got;
      REQUIRE(got.ParseFromString(out));
      INFO("seed " << seed);
      REQUIRE(got.SerializeAsString() == expected.SerializeAsString());
    }
  }
  CHECK(repaired > 1000);
}

TEST_CASE("attributes of every kind are sound exactly when libprotobuf takes them, whichever byte is wrong", "[wire]") {
  twin::Span span;
  const std::string long_text(200, 'x');
  fill(span,
       {.attributes = {{"a", "1"}, {"bb", "22"}, {"c", long_text}, {"", "d"}, {"e", ""}, {"f", "6"}, {"g", "7"}}});
  span.add_attributes()->mutable_value()->set_int_value(-1);
  span.add_attributes()->mutable_value()->set_bool_value(true);
  span.add_attributes()->mutable_value()->set_double_value(0.1);
  span.add_attributes()->set_key("no value");
  span.add_attributes();
  *span.add_attributes() = span.attributes(0);
  *span.add_events()->add_attributes() = span.attributes(1);
  const std::string forward = span.SerializeAsString();
  for (const std::string& sound : {forward, backward_otlp(span)}) {
    REQUIRE(form_of(sound, Part::kSpan) == Form::kSound);
    for (std::size_t i = 0; i < sound.size(); ++i) {
      for (const int change : {0x01, 0x02, 0x03, 0x04, 0x08, 0x10, 0x7F, 0x80, 0xFF}) {
        std::string bytes = sound;
        bytes[i] = static_cast<char>(bytes[i] ^ change);
        std::vector<FrameSpan> spans = {{{}, {}, bytes}};
        std::string request;
        frame_trace(spans, request);
        CAPTURE(i, change);
        REQUIRE((form_of(bytes, Part::kSpan) == Form::kSound) == strictly_parses(request));
      }
    }
  }
}

TEST_CASE("a length or tag that is wrong inside is broken, not repairable", "[wire]") {
  twin::Span span;
  fill(span, {.attributes = {{"k", "v"}}});
  std::string bytes = span.SerializeAsString();
  CHECK(form_of(bytes, Part::kSpan) == Form::kSound);
  bytes[bytes.find("\x0a\x01k") + 1] = '\x70';  // the key's length passes its attribute
  CHECK(form_of(bytes, Part::kSpan) == Form::kBroken);
  const ScanPlan plan;
  SpanFields fields;
  ByteView none;
  CHECK(scan_span(bytes, plan, fields, &none));  // no policy asked for attributes: the scan does not look into them

  const auto with_entity_ref = [](ByteView entity_ref) {
    std::string resource, prefix;
    pb::append_len(resource, otlp::resource::kEntityRefs, entity_ref);
    pb::append_len(prefix, otlp::resource_spans::kResource, resource);
    return form_of(prefix, Part::kResource);
  };
  CHECK(with_entity_ref("\x12\x04host") == Form::kSound);
  CHECK(with_entity_ref("\x12\x05host") == Form::kBroken);
}

TEST_CASE("groups count among the messages that are nested", "[wire]") {
  const auto groups = [](int count) {
    twin::TracesData data = traces({{.id = 1}});
    std::string bytes = data.resource_spans(0).scope_spans(0).spans(0).SerializeAsString();
    for (int i = 0; i < count; ++i) pb::append_varint(bytes, pb::tag_of(200, pb::kGroup));
    for (int i = 0; i < count; ++i) pb::append_varint(bytes, pb::tag_of(200, pb::kEndGroup));
    return bytes;
  };
  for (const int count : {1, 97, 98}) {
    std::string request;
    const std::string span = groups(count);
    std::vector<FrameSpan> spans = {{{}, {}, span}};
    frame_trace(spans, request);
    INFO(count << " groups");
    CHECK(strictly_parses(request) == (form_of(span, Part::kSpan) == Form::kSound));
  }
  CHECK(form_of(groups(98), Part::kSpan) == Form::kBroken);
}
