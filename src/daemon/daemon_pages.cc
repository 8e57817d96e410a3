// SPDX-License-Identifier: Apache-2.0
// The servers of the daemon's own pages.
#include <utility>
#include <vector>

#include "daemon/daemon.h"
#include "telemetry/log.h"
#include "web/fleet/fleet_store.h"

namespace tailgate {
namespace {

constexpr Duration kScrapeTimeMax = std::chrono::seconds(30);

}  // namespace

// A page of some megabytes: on a thread of its own, so that /health does not wait for it, and one at a time, as its
// memory is reserved. A scraper that reads slowly is given up (later_answer.h).
void Daemon::add_span_metrics_page() {
  scrape_pool_ = std::make_unique<QueryPool>(QueryPoolOptions{.threads = 1, .waiting_max = 8, .nice = 1});
  metrics_page_.add("/metrics/spans", [this](const RequestHead& head) {
    return scrape_pool_->later(
        [this, format = wants_open_metrics(head.header("accept"))](LaterAnswer& answer) {
          const TimePoint now = monotonic_now();
          Exposition out(
              format, [&, until = now + kScrapeTimeMax](std::string_view piece) { return answer.write(piece, until); });
          Response response;
          response.headers.emplace_back("content-type", out.content_type());
          answer.begin(std::move(response));
          signals_->write(out, now);
          if (out.end()) answer.end();
        },
        [](int status, std::string_view text) { return plain_response(status, text); });
  });
}

// A question about what is stored goes to the other members too; those that they ask have threads of their own.
void Daemon::search_all_members(SearchLimits& limits) {
  if (stored_ == nullptr) stored_ = std::make_shared<StoreReader>(no_partitions());  // a front asks too
  member_pool_ = std::make_unique<QueryPool>(
      QueryPoolOptions{.threads = config_.queries.threads, .waiting_max = config_.queries.waiting_max});
  const auto fleet = std::make_shared<FleetStore>(stored_, cluster_->others(),
                                                  [this](Duration timeout) { return cluster_->searching(timeout); });
  answers_members_ = [own = stored_, limits](std::string_view question, const LaterAnswer& answer) {
    return answer_store_question(*own, limits, question, [&] { return answer.cancelled(); });
  };
  stored_ = fleet;
  limits.elsewhere = [fleet](const TraceQuestion& question, Duration time) { return fleet->elsewhere(question, time); };
}

Result<Response> Daemon::answer_member(ByteView message) {
  Result<Cluster::Says> says = cluster_->cluster().answer(message);
  if (!says) return tl::unexpected(says.error());
  Response response;
  response.body = std::move(says->bytes);
  if (!says->page) return response;
  const auto with_page = [response = std::move(response)](PageAnswer page) {
    ClusterMessage answer;
    answer.page_answer = std::move(page);
    Response out = response;
    out.body += write_message(answer);  // fields of one message add up
    return out;
  };
  if (says->page->target != kStoreQuestions || !answers_members_) return with_page(member_pages_.answer(*says->page));
  return member_pool_->later([this, question = std::move(says->page->body), with_page](
                                 LaterAnswer& answer) { answer.answer(with_page(answers_members_(question, answer))); },
                             [](int status, std::string_view text) { return plain_response(status, text); });
}

Result<void> Daemon::open_pages() {
  struct PageServer {
    const char* name;
    const char* config_path;
    const PageConfig& config;
    Pages& pages;
    bool takes_auth = true;
  };
  std::vector<PageServer> servers = {{"metrics", "telemetry.metrics", config_.metrics, metrics_page_},
                                     {"health", "telemetry.health", config_.health, health_pages_, false},
                                     {"web", "web", config_.web, web_pages_}};
  if (head_ != nullptr) {
    servers.push_back({"sampling", "remote_sampling.http", config_.remote_sampling_http, sampling_pages_});
  }
  for (const PageServer& page : servers) {
    ServerOptions options;
    options.name = page.name;
    options.endpoint = page.config.endpoint;
    options.socket_mode = page.config.socket_mode;
    options.tls = page.config.tls;
    options.auth = page.config.auth;
    options.limits = page.config.limits;
    options.config_path = page.config_path;
    options.takes_auth = page.takes_auth;
    options.notice = [](std::string_view text) { log_warn(text); };
    Result<std::unique_ptr<Server>> server = Server::open(*page_threads_, options, page.pages);
    if (!server) return tl::unexpected(server.error());
    log_info("listening", {{"page", page.name}, {"endpoint", (*server)->endpoint()}});
    const MutexLock lock(status_mutex_);
    page_servers_.push_back(std::move(*server));
  }
  return {};
}

}  // namespace tailgate
