// SPDX-License-Identifier: Apache-2.0
// ParseJSON: a map or a list; numbers are doubles.
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/static_resource.hpp>

#include "codec/json_repair.h"
#include "decide/condition/convert/converters.h"

namespace tailgate::condition {
namespace {

namespace json = boost::json;

bool take(Evaluation& e, const json::value& from, Value& out) {
  switch (from.kind()) {
    case json::kind::null:
      out = Value();
      return true;
    case json::kind::bool_:
      out = Value::of_bool(from.get_bool());
      return true;
    case json::kind::int64:
      out = Value::of_double(static_cast<double>(from.get_int64()));
      return true;
    case json::kind::uint64:
      out = Value::of_double(static_cast<double>(from.get_uint64()));
      return true;
    case json::kind::double_:
      out = Value::of_double(from.get_double());
      return true;
    case json::kind::string:
      return e.own(std::string_view(from.get_string().data(), from.get_string().size()), out);
    case json::kind::array: {
      const json::array& array = from.get_array();
      Value* const items = e.arena.values(array.size());
      if (items == nullptr) return e.fail("the list takes more than 16 MiB");
      for (std::size_t i = 0; i < array.size(); ++i) {
        if (!take(e, array[i], items[i])) return false;
      }
      out = Value::of_list(items, array.size());
      return true;
    }
    case json::kind::object: {
      const json::object& object = from.get_object();
      MapEntry* const entries = e.arena.entries(object.size());
      if (entries == nullptr) return e.fail("the map takes more than 16 MiB");
      std::size_t n = 0;
      for (const json::key_value_pair& pair : object) {
        const auto key = e.arena.copy(std::string_view(pair.key().data(), pair.key().size()));
        if (!key || !take(e, pair.value(), entries[n].value)) return false;
        entries[n++].key = *key;
      }
      out = Value::of_map(entries, n);
      return true;
    }
  }
  return false;
}

bool parse_json(Evaluation& e, const Arguments& a, Value& out) {
  json::parse_options options;
  options.max_depth = kNestingMax;  // so take() goes no deeper either
  boost::system::error_code bad;
  json::value parsed = json::parse(json::string_view(a[0].text.data(), a[0].text.size()), bad, {}, options);
  if (const JsonRepair repair = bad ? json_repair_of(a[0].text) : JsonRepair(); repair.texts != 0) {
    parsed = json::parse(repaired_json(a[0].text, repair.size), bad, {}, options);
  }
  if (bad) return e.fail("the text is no JSON");
  if (!parsed.is_array() && !parsed.is_object()) return e.fail("expected JSON that is an object or an array");
  return take(e, parsed, out) || e.fail("the JSON takes more than 16 MiB");
}

constexpr std::array kJsonConverters = {Converter{"ParseJSON", {{{"target", Want::kString}}}, parse_json}};

}  // namespace

std::span<const Converter> json_converters() { return kJsonConverters; }

}  // namespace tailgate::condition
