// SPDX-License-Identifier: Apache-2.0
#include "web/tempo/door.h"

#include <boost/json.hpp>
#include <functional>
#include <utility>

#include "base/version.h"
#include "web/json_page.h"
#include "web/tempo/search.h"

namespace tailgate {
namespace {

namespace json = boost::json;

struct Door {
  QueryPool& pool;
  TempoDoorOptions options;
};
using DoorPtr = std::shared_ptr<const Door>;
using Work = std::function<void(StoreReader&, const SearchLimits&, LaterAnswer&)>;

Response later(const DoorPtr& door, Work work) {
  if (door->options.store == nullptr) {
    return plain_response(501, "nothing is stored here: the configuration has no exporter of the type store");
  }
  return door->pool.later([door, work = std::move(work)](LaterAnswer& answer) {
    work(*door->options.store, door->options.limits, answer);
  });
}

Response bad(const Error& error) { return plain_response(400, error.text); }

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

}  // namespace

Response tempo_json() {
  Response response;
  response.headers.emplace_back("content-type", "application/json");
  return response;
}

Response tempo_error(const Error& error) {
  return plain_response(error.kind == ErrorKind::kBadInput      ? 400
                        : error.kind == ErrorKind::kUnavailable ? 503
                                                                : 500,
                        error.text);
}

void add_tempo_door(Pages& pages, QueryPool& pool, TempoDoorOptions options) {
  const DoorPtr door = std::make_shared<const Door>(Door{pool, std::move(options)});
  pages.add("/tempo/api/echo", [](const RequestHead&) { return plain_response(200, "echo"); });
  pages.add("/tempo/ready", [](const RequestHead&) { return plain_response(200, "ready"); });
  pages.add("/tempo/api/status/buildinfo", build_info);
  pages.add("/tempo/api/metrics/", no_metrics);
  pages.add("/tempo/api/search", [door](const RequestHead& head) {
    Result<TempoSearch> search = read_tempo_search(head.query());
    if (!search) return bad(search.error());
    return later(door,
                 [search = std::move(*search)](StoreReader& store, const SearchLimits& limits, LaterAnswer& answer) {
                   answer_tempo_search(store, limits, search, answer);
                 });
  });
}

}  // namespace tailgate
