// SPDX-License-Identifier: Apache-2.0
#include "web/tempo/door.h"

#include <boost/json.hpp>
#include <functional>
#include <string_view>
#include <utility>

#include "base/version.h"
#include "codec/utf8.h"
#include "web/json_page.h"
#include "web/params.h"
#include "web/tempo/search.h"
#include "web/tempo/tags.h"
#include "web/tempo/traces.h"

namespace tailgate {
namespace {

namespace json = boost::json;

struct TempoDoor {
  QueryPool& pool;
  StoreDoorOptions options;
};
using TempoDoorPtr = std::shared_ptr<const TempoDoor>;
using Work = std::function<void(StoreReader&, const SearchLimits&, LaterAnswer&)>;

// `work` also reads what is asked: the patterns of a query take time to compile, and this is the thread of /health too.
Response later(const TempoDoorPtr& door, Work work) {
  if (door->options.store == nullptr) {
    return plain_response(501, "nothing is stored here: the configuration has no exporter of the type store");
  }
  return door->pool.later(
      [door, work = std::move(work)](LaterAnswer& answer) { work(*door->options.store, door->options.limits, answer); },
      [](int status, std::string_view text) { return plain_response(status, text); });
}

Response no_metrics(const RequestHead&) {
  return plain_response(
      501,
      "metrics of TraceQL (rate(), count_over_time(), compare() and the like) are not supported here; "
      "/api/search takes all other queries");
}

Response build_info(const RequestHead&) {
  return json_response(200, json::object{{"version", build_version()},
                                         {"revision", build_commit()},
                                         {"branch", ""},
                                         {"buildUser", ""},
                                         {"buildDate", ""},
                                         {"goVersion", ""}});
}

Response trace_by_id(const TempoDoorPtr& door, const RequestHead& head, std::string_view prefix) {
  const Result<TraceId> id = read_trace_id(head.path().substr(prefix.size()));
  if (!id) return tempo_error(id.error());
  const TempoTraceQuestion question{*id, prefix.find("/v2/") != std::string_view::npos,
                                    wants_protobuf(head.header("accept"))};
  return later(door, [question](StoreReader& store, const SearchLimits& limits, LaterAnswer& answer) {
    answer_tempo_trace(store, question, monotonic_now() + limits.time_max, answer);
  });
}

Response tag_names(const TempoDoorPtr& door, const RequestHead& head, bool v2) {
  return later(door,
               [query = std::string(head.query()), v2](StoreReader& store, const SearchLimits&, LaterAnswer& answer) {
                 const Result<TempoTags> tags = read_tempo_tags(query);
                 if (!tags) return answer.answer(tempo_error(tags.error()));
                 answer_tempo_tags(store, *tags, v2, answer);
               });
}

// The path is PREFIX, the tag and "/values"; the tag may hold slashes.
Response tag_values(const TempoDoorPtr& door, const RequestHead& head, std::string_view prefix) {
  std::string_view tag = head.path().substr(prefix.size());
  if (!tag.ends_with("/values")) return plain_response(404, "expected /values after the name of the tag");
  tag.remove_suffix(std::string_view("/values").size());
  const bool v2 = prefix.find("/v2/") != std::string_view::npos;
  return later(door, [tag = std::string(tag), query = std::string(head.query()), v2](
                         StoreReader& store, const SearchLimits& limits, LaterAnswer& answer) {
    const Result<TempoValues> values = read_tempo_values(tag, query);
    if (!values) return answer.answer(tempo_error(values.error()));
    answer_tempo_values(store, limits, *values, v2, answer);
  });
}

}  // namespace

// Errors repeat what was asked, which may be any bytes.
Response tempo_error(const Error& error) { return plain_response(http_status_of(error), to_utf8(error.text)); }

void add_tempo_door(Pages& pages, QueryPool& pool, StoreDoorOptions options) {
  const TempoDoorPtr door = std::make_shared<const TempoDoor>(TempoDoor{pool, std::move(options)});
  pages.add("/tempo/api/echo", [](const RequestHead&) { return plain_response(200, "echo"); });
  pages.add("/tempo/ready", [](const RequestHead&) { return plain_response(200, "ready"); });
  pages.add("/tempo/api/status/buildinfo", build_info);
  pages.add("/tempo/api/metrics/", no_metrics);
  pages.add("/tempo/api/search", [door](const RequestHead& head) {
    return later(
        door, [query = std::string(head.query())](StoreReader& store, const SearchLimits& limits, LaterAnswer& answer) {
          const Result<TempoSearch> search = read_tempo_search(query);
          if (!search) return answer.answer(tempo_error(search.error()));
          answer_tempo_search(store, limits, *search, answer);
        });
  });
  pages.add("/tempo/api/search/tags", [door](const RequestHead& head) { return tag_names(door, head, false); });
  pages.add("/tempo/api/v2/search/tags", [door](const RequestHead& head) { return tag_names(door, head, true); });
  for (const char* const prefix : {"/tempo/api/search/tag/", "/tempo/api/v2/search/tag/"})
    pages.add(prefix, [door, prefix](const RequestHead& head) { return tag_values(door, head, prefix); });
  for (const char* const prefix : {"/tempo/api/traces/", "/tempo/api/v2/traces/"})
    pages.add(prefix, [door, prefix](const RequestHead& head) { return trace_by_id(door, head, prefix); });
}

}  // namespace tailgate
