// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/item_limits.h"

#include <simdjson.h>
#include <catch2/catch.hpp>

#include "codec/json_text.h"
#include "otlp_twin.pb.h"
#include "wire/jaeger/json.h"
#include "wire/otlp/json_write.h"
#include "wire/otlp/span_view.h"
#include "wire/zipkin/json_write.h"

using namespace tailgate;

namespace {

SpanView view(const twin::Span& span, std::string& bytes) {
  bytes = span.SerializeAsString();
  SpanView out;
  REQUIRE(read_span_view(bytes, out));
  return out;
}

twin::TracesData data_of(const twin::Span& span) {
  twin::TracesData data;
  *data.add_resource_spans()->add_scope_spans()->add_spans() = span;
  return data;
}

// {[1], [2], ...} of `elements` elements with `inner` values each.
twin::AnyValue arrays(std::size_t elements, std::size_t inner) {
  twin::AnyValue out;
  for (std::size_t i = 0; i < elements; ++i) {
    auto* element = out.mutable_array_value()->add_values()->mutable_array_value();
    for (std::size_t k = 0; k < inner; ++k) element->add_values();
  }
  return out;
}

std::size_t size_of(simdjson::dom::element from, const char* key) {
  simdjson::dom::array list;
  return from[key].get(list) == simdjson::SUCCESS ? list.size() : 0;
}

// The first span of OTLP's JSON; lives as long as `parser`.
simdjson::dom::element first_span(simdjson::dom::parser& parser, const std::string& json) {
  return parser.parse(json)["resourceSpans"].at(0)["scopeSpans"].at(0)["spans"].at(0);
}

}  // namespace

TEST_CASE("16,384 links and events of a span are read, and those over it join the dropped counts", "[wire]") {
  for (const int over : {0, 5}) {
    twin::Span span;
    span.set_dropped_links_count(3);
    for (std::size_t i = 0; i < kLinksMax + static_cast<std::size_t>(over); ++i) span.add_links();
    for (std::size_t i = 0; i < kEventsMax + static_cast<std::size_t>(over); ++i) span.add_events();
    std::string bytes;
    const SpanView v = view(span, bytes);
    CHECK(v.links.size() == kLinksMax);
    CHECK(v.events.size() == kEventsMax);
    CHECK(v.dropped_links == static_cast<std::uint32_t>(3 + over));
    CHECK(v.dropped_events == static_cast<std::uint32_t>(over));
    CHECK(v.cut.links == static_cast<std::uint64_t>(over));
    CHECK(v.cut.events == static_cast<std::uint64_t>(over));
    CHECK(v.cut.all() == static_cast<std::uint64_t>(2 * over));
  }
}

TEST_CASE("65,536 attributes of a span with its events and links are read", "[wire]") {
  twin::Span span;
  for (std::size_t i = 0; i < kAttributesMax - 3; ++i) span.add_attributes()->set_key("k");
  for (int i = 0; i < 2; ++i) span.add_events()->add_attributes();
  auto* link = span.add_links();
  link->add_attributes()->set_key("first");
  std::string bytes;
  SpanView v = view(span, bytes);
  CHECK(v.cut.all() == 0);
  link->add_attributes()->set_key("one too many");
  link->set_dropped_attributes_count(7);
  v = view(span, bytes);
  REQUIRE(v.links.size() == 1);
  CHECK(v.links[0].attributes.size() == 1);
  CHECK(v.links[0].dropped_attributes == 8);
  CHECK(v.dropped_attributes == 0);
  CHECK(v.cut.attributes == 1);
}

TEST_CASE("4,096 attributes of a resource and of a scope are read", "[wire]") {
  twin::ResourceSpans of;
  for (std::size_t i = 0; i < kPrefixAttributesMax + 2; ++i) of.mutable_resource()->add_attributes();
  const ResourceView resource = read_resource_view(of.SerializeAsString());
  CHECK(resource.attributes.size() == kPrefixAttributesMax);
  CHECK(resource.dropped_attributes == 2);
  CHECK(resource.cut.attributes == 2);
}

TEST_CASE("an array keeps the elements that there is room for, each with all that is in it", "[wire]") {
  twin::Span span;
  auto* a = span.add_attributes();
  *a->mutable_value() = arrays(32'768, 1);  // 65,536 values
  std::string bytes;
  SpanView v = view(span, bytes);
  CHECK(array_of(v.attributes[0].value).size() == 32'768);
  CHECK(v.cut.values == 0);

  *a->mutable_value() = arrays(32'770, 1);
  v = view(span, bytes);
  CHECK(array_of(v.attributes[0].value).size() == 32'768);
  CHECK(v.cut.values == 4);

  *a->mutable_value() = arrays(1, 65'536);  // and the element around them
  v = view(span, bytes);
  CHECK(array_of(v.attributes[0].value).empty());
  CHECK(v.cut.values == 65'537);
}

TEST_CASE("a map keeps the pairs that there is room for, in values and in bytes", "[wire]") {
  twin::Span span;
  auto* map = span.add_attributes()->mutable_value()->mutable_kvlist_value();
  for (int i = 0; i < 5; ++i) {
    auto* pair = map->add_values();
    pair->set_key(std::to_string(i));
    pair->mutable_value()->set_string_value(std::string(1 << 20, 'x'));
  }
  std::string bytes;
  const SpanView v = view(span, bytes);
  const AttributeViews pairs = map_of(v.attributes[0].value);
  CHECK(pairs.size() == 3);  // the fourth would be some bytes over 4 MiB
  CHECK(v.cut.values == 2);
}

TEST_CASE("OTLP's JSON has the same limits where it is asked to, and none where it is not", "[wire]") {
  twin::Span span;
  span.set_dropped_events_count(2);
  for (std::size_t i = 0; i < kLinksMax + 5; ++i) span.add_links();
  for (std::size_t i = 0; i < kEventsMax + 6; ++i) span.add_events();
  for (std::size_t i = 0; i < kAttributesMax + 7; ++i) span.add_attributes();
  auto* a = span.mutable_attributes(0);
  *a->mutable_value() = arrays(40'000, 1);
  const std::string otlp = data_of(span).SerializeAsString();
  for (const bool limited : {true, false}) {
    CAPTURE(limited);
    CutItems cut;
    std::string json;
    REQUIRE(append_otlp_json(json, otlp, limited ? &cut : nullptr));
    simdjson::dom::parser parser;
    const simdjson::dom::element s = first_span(parser, json);
    const simdjson::dom::element value = s["attributes"].at(0)["value"]["arrayValue"];
    if (!limited) {
      CHECK(size_of(s, "links") == kLinksMax + 5);
      CHECK(size_of(s, "attributes") == kAttributesMax + 7);
      CHECK(size_of(value, "values") == 40'000);
      continue;
    }
    CHECK(size_of(s, "links") == kLinksMax);
    CHECK(size_of(s, "events") == kEventsMax);
    CHECK(size_of(s, "attributes") == kAttributesMax);
    CHECK(size_of(value, "values") == 32'768);
    CHECK(std::int64_t(s["droppedLinksCount"]) == 5);
    CHECK(std::int64_t(s["droppedEventsCount"]) == 8);
    CHECK(std::int64_t(s["droppedAttributesCount"]) == 7);
    CHECK(cut.links == 5);
    CHECK(cut.events == 6);
    CHECK(cut.attributes == 7);
    CHECK(cut.values == 2 * (40'000 - 32'768));
  }
}

TEST_CASE("a request of many spans full of nothing does not become ten times its size in JSON", "[wire]") {
  twin::TracesData data;
  auto* scope = data.add_resource_spans()->add_scope_spans();
  for (int i = 0; i < 100; ++i) {
    auto* span = scope->add_spans();
    for (std::size_t k = 0; k < kLinksMax; ++k) span->add_links();
  }
  const std::string otlp = data.SerializeAsString();
  CutItems cut;
  std::string json;
  REQUIRE(append_otlp_json(json, otlp, &cut));
  const std::size_t written = 65'536 + otlp.size() / 4;
  CHECK(cut.links == 100 * kLinksMax - written);
  CHECK(json.size() < 8 * otlp.size() + (2 << 20));
}

TEST_CASE("pieces of a message and scalars that are repeated a million times take no memory", "[wire]") {
  twin::Span span;
  std::string bytes = span.SerializeAsString();
  for (int i = 0; i < 1'000'000; ++i) bytes += std::string("\x30\x02\x7a\x00", 4);  // kind, and an empty status
  bytes += std::string("\x30\x03\x7a\x02\x18\x02", 6);
  twin::TracesData data;
  data.add_resource_spans()->add_scope_spans()->add_spans()->ParseFromString(bytes);
  std::string otlp("\x0a", 1), scope, of;
  const auto wrap = [](int number, const std::string& content) {
    std::string out(1, static_cast<char>(number << 3 | 2));
    for (std::size_t n = content.size(); out += static_cast<char>(n > 127 ? n % 128 | 128 : n), n > 127;) n /= 128;
    return out + content;
  };
  otlp = wrap(1, wrap(2, wrap(2, bytes)));
  std::string limited, whole;
  CutItems cut;
  REQUIRE(append_otlp_json(limited, otlp, &cut));
  REQUIRE(append_otlp_json(whole, otlp));
  CHECK(limited == whole);
  CHECK(limited.find(R"("kind":3,"status":{"code":2})") != std::string::npos);
}

TEST_CASE("Zipkin's and Jaeger's writers say what they left out, and pass over spans that are not wanted", "[wire]") {
  twin::TracesData data;
  auto* scope = data.add_resource_spans()->add_scope_spans();
  for (int i = 0; i < 3; ++i) {
    auto* span = scope->add_spans();
    span->set_name(std::to_string(i));
    for (std::size_t k = 0; k < kLinksMax + static_cast<std::size_t>(i); ++k) span->add_links();
  }
  const std::string otlp = data.SerializeAsString();
  CutItems zipkin, jaeger;
  SpanChoice choice;
  choice.wanted = [](std::size_t number) { return number != 1; };
  int spans = 0;
  CHECK(each_zipkin_span(
      otlp, [&](std::string_view) { ++spans; }, &zipkin, &choice));
  CHECK(spans == 2);
  CHECK(choice.spans == 3);
  CHECK(zipkin.links == 2);
  CHECK(each_jaeger_document(
      otlp, [&](const JaegerDocument&) { ++spans; }, &jaeger));
  CHECK(spans == 5);
  CHECK(jaeger.links == 3);
}

TEST_CASE("what escapes add to the texts of a large span is bounded", "[wire]") {
  const std::string front = "\"\\\n\t\r\x01\xC3\xA4\xFF";  // adds 5 times 1, 5, nothing and 2
  for (std::size_t room = 0; room < 15; ++room) {
    std::size_t left = room;
    const ByteView taken = json_string_front(front, left);
    std::string json;
    append_json_string(json, taken);
    CHECK(json.size() - 2 - taken.size() == room - left);
    CHECK((taken.size() == front.size()) == (room >= 12));
  }

  // One text of each kind, so many that they share what there is.
  const auto span_of = [](std::size_t bytes) {
    twin::Span span;
    const std::string text(bytes, '\x01');
    span.add_attributes()->mutable_value()->set_string_value(text);
    span.add_events()->add_attributes()->mutable_value()->set_string_value(text);
    span.add_links()->add_attributes()->mutable_value()->set_string_value(text);
    span.set_name("name\x01");
    return span;
  };
  std::string bytes;
  const SpanView small = view(span_of(500'000), bytes);  // of such the texts are not looked at
  CHECK(small.cut.all() == 0);
  CHECK(small.attributes[0].value.bytes.size() == 500'000);
  const SpanView large = view(span_of(1'000'000), bytes);
  CHECK(large.attributes[0].value.bytes.size() == 1'000'000);
  CHECK(large.events[0].attributes[0].value.bytes.size() == kEscapesMax / 5 - 1'000'000);
  CHECK(large.links[0].attributes[0].value.bytes.empty());
  CHECK(large.name == "name");
  CHECK(large.cut.values == 3);
  CHECK(large.cut.all() == 3);
  twin::Span plain;
  plain.set_name(std::string(9'000'000, 'p'));
  CHECK(view(plain, bytes).cut.all() == 0);

  const std::string otlp = data_of(span_of(1'000'000)).SerializeAsString();
  std::string json;
  CutItems cut;
  CHECK(append_otlp_json(json, otlp, &cut));
  CHECK(cut.values == 2);  // the name is first there
  CHECK(json.size() < otlp.size() + kEscapesMax);
  CHECK(json.size() > 6'000'000 + kEscapesMax / 5);
  json.clear();
  CHECK(append_otlp_json(json, otlp));
  CHECK(json.size() > 18'000'000);
}

TEST_CASE("OTLP's JSON of several traces has the limits of each, and is that of all of them together", "[wire]") {
  twin::Span nothing;
  for (int i = 0; i < 65'000; ++i) nothing.add_attributes();
  twin::TracesData hostile;
  for (int i = 0; i < 3; ++i) *hostile.add_resource_spans()->add_scope_spans()->add_spans() = nothing;
  twin::Span ordinary;
  ordinary.set_name("a");
  ordinary.add_attributes()->set_key("k");
  const std::string good = data_of(ordinary).SerializeAsString(), bad = hostile.SerializeAsString();

  std::string json, alone;
  CutItems cut;
  OtlpJsonList list(json);
  CHECK(list.add(good, &cut));
  CHECK(list.add("", &cut));
  CHECK(list.add(good, &cut));
  list.close();
  CHECK(append_otlp_json(alone, good + good));
  CHECK(json == alone);
  CHECK(cut.all() == 0);

  json.clear();
  OtlpJsonList both(json);
  CHECK(both.add(bad, &cut));
  CHECK(cut.attributes > 0);
  const std::uint64_t of_bad = cut.attributes;
  CHECK(both.add(good, &cut));
  both.close();
  CHECK(cut.attributes == of_bad);
  simdjson::dom::parser parser;
  CHECK(size_of(parser.parse(json)["resourceSpans"].at(3)["scopeSpans"].at(0)["spans"].at(0), "attributes") == 1);

  json.clear();
  OtlpJsonList none(json);
  none.close();
  CHECK(json == R"({"resourceSpans":[]})");
}

TEST_CASE("large resources and scopes are not said with each span for ever", "[wire]") {
  const auto request = [](std::size_t resource_bytes, int spans) {
    twin::TracesData data;
    for (int r = 0; r < 2; ++r) {
      auto* resource = data.add_resource_spans();
      auto* name = resource->mutable_resource()->add_attributes();
      name->set_key("service.name");
      name->mutable_value()->set_string_value("shop");
      resource->mutable_resource()->add_attributes()->set_key(std::string(resource_bytes, 'r'));
      auto* scope = resource->add_scope_spans();
      scope->mutable_scope()->set_name(std::string(resource_bytes, 's'));
      for (int i = 0; i < spans; ++i) scope->add_spans()->set_name("n");
    }
    return data.SerializeAsString();
  };
  struct Seen {
    std::size_t spans = 0, resources = 0, scopes = 0, services = 0;
    bool first_whole = true;
  };
  const auto count = [](const std::string& otlp, int per_resource, CutItems* cut, SpanChoice* choice = nullptr) {
    Seen seen;
    const auto take = [&](const ResourceView& resource, const ScopeView& scope, const SpanView&) {
      if (seen.spans % static_cast<std::size_t>(per_resource) == 0)
        seen.first_whole = seen.first_whole && resource.attributes.size() == 2 && !scope.name.empty();
      ++seen.spans;
      seen.resources += resource.attributes.size() == 2;
      seen.services += find_attribute(resource.attributes, "service.name") != nullptr;
      seen.scopes += !scope.name.empty();
    };
    CHECK(each_span(otlp, take, cut, choice));
    return seen;
  };
  CutItems cut;
  const Seen ordinary = count(request(1'000, 2'000), 2'000, &cut);
  CHECK(ordinary.resources == 4'000);
  CHECK(ordinary.scopes == 4'000);
  CHECK(cut.all() == 0);

  const std::string otlp = request(100'000, 2'000);
  const Seen large = count(otlp, 2'000, &cut);
  CHECK(large.spans == 4'000);
  CHECK(large.services == 4'000);
  CHECK(large.first_whole);
  CHECK((large.resources + large.scopes) * 100'000 < (4 << 20) + 17 * otlp.size());
  CHECK((large.resources + large.scopes) * 100'000 > 16 * otlp.size());
  CHECK(cut.attributes == 4'000 - large.resources);

  // Whatever is chosen, each span is the same.
  CutItems in_parts;
  Seen parts;
  for (std::size_t from = 0; from < 4'000; from += 1'000) {
    SpanChoice choice;
    choice.wanted = [&](std::size_t number) { return number / 1'000 == from / 1'000; };
    const Seen part = count(otlp, 4'000, &in_parts, &choice);
    parts.resources += part.resources;
    parts.scopes += part.scopes;
  }
  CHECK(parts.resources == large.resources);
  CHECK(parts.scopes == large.scopes);
  CHECK(in_parts.attributes == cut.attributes);
}
