// SPDX-License-Identifier: Apache-2.0
#include "web/sampling.h"

#include "net/http/grpc.h"
#include "web/json_page.h"
#include "web/params.h"

namespace tailgate {
namespace {

constexpr std::size_t kSamplingBodyMax = 64 << 10;

}  // namespace

std::optional<std::string> sampled_service(std::string_view query) {
  Params params(query);
  std::vector<std::string> services = params.all("service");
  if (services.size() != 1) return std::nullopt;
  return std::move(services.front());
}

void add_sampling_pages(Pages& pages, const SamplingAnswers& answers) {
  const auto get = [answers](const RequestHead& head) {
    const std::optional<std::string> service = sampled_service(head.query());
    if (!service) {
      answers.refused();
      return plain_response(400, "'service' parameter must be provided once");
    }
    Response response = json_head();
    response.body = answers.json(*service);
    return response;
  };
  pages.add("/", get);
  pages.add("/sampling", get);
  pages.add("/sampling/explain", [answers](const RequestHead& head) {
    Params params(head.query());
    const std::string service = params.text("service");
    if (const Result<void> good = params.finish(); !good) return json_error(400, good.error().text);
    Response response = json_head();
    response.body = answers.explain(service);
    return response;
  });
  pages.add_call("/jaeger.api_v2.SamplingManager/GetSamplingStrategy", kSamplingBodyMax,
                 [answers](const RequestHead&, ByteView message) {
                   const Result<std::string> answer = answers.grpc(message);
                   if (answer) return grpc_response({}, *answer);
                   return grpc_response({RpcCode::kInvalidArgument, answer.error().text, 0});
                 });
}

}  // namespace tailgate
