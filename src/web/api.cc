// SPDX-License-Identifier: Apache-2.0
#include "web/api.h"

#include <boost/json.hpp>
#include <utility>

#include "web/json_page.h"

namespace tailgate {

namespace json = boost::json;

void add_api(Pages& pages, std::function<std::string()> metrics, std::function<std::vector<LoadedPolicy>()> policies,
             bool past) {
  pages.add("/api/metrics", [metrics = std::move(metrics)](const RequestHead&) {
    Response response;
    response.headers.emplace_back("content-type", "text/plain; version=0.0.4; charset=utf-8");
    response.body = metrics();
    return response;
  });
  pages.add("/api/policies", [policies = std::move(policies), past](const RequestHead&) {
    json::array all;
    for (LoadedPolicy& policy : policies()) {
      all.push_back(json::object{{"name", std::move(policy.name)}, {"yaml", std::move(policy.yaml)}});
    }
    return json_response(200, json::object{{"policies", std::move(all)}, {"past", past}});
  });
}

}  // namespace tailgate
