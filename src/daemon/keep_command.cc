// SPDX-License-Identifier: Apache-2.0
#include "daemon/keep_command.h"

#include <fmt/format.h>

#include <future>
#include <thread>

#include "codec/json_text.h"
#include "daemon/cli.h"
#include "net/client/http_client.h"
#include "net/io_threads.h"
#include "web/json_page.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr Duration kTimeout = std::chrono::seconds(10);
constexpr Duration kAskEvery = std::chrono::milliseconds(200);

std::string url_of(const std::string& web) { return web.find("://") == std::string::npos ? "http://" + web : web; }

std::string request_of(const KeepArguments& arguments) {
  json::object out{{"reason", arguments.reason}};
  if (!arguments.ids.empty()) out["trace_ids"] = json::array(arguments.ids.begin(), arguments.ids.end());
  if (!arguments.condition.empty()) out["condition"] = arguments.condition;
  if (arguments.again) out["again"] = true;
  if (arguments.limit != 0) out["limit"] = arguments.limit;
  if (arguments.since != Duration::zero()) {
    out["from"] = iso_time(wall_now_ns() - static_cast<std::uint64_t>(arguments.since.count()));
  }
  return json::serialize(out);
}

// One server, one question at a time.
class Web {
 public:
  explicit Web(const HttpUrl& url) : threads_(1, "keep") {
    threads_.start();
    on_thread([&] { client_ = std::make_unique<HttpClient>(threads_.context(0), url); });
  }
  ~Web() {
    on_thread([&] { client_.reset(); });
    threads_.stop();
  }
  Web(const Web&) = delete;
  Web& operator=(const Web&) = delete;

  Result<HttpReply> ask(const std::string& method, const std::string& path, std::string body) {
    std::promise<Result<HttpReply>> reply;
    threads_.post(0, [&] {
      client_->send(method, path, {{"content-type", "application/json"}},
                    std::make_shared<const std::string>(std::move(body)), kTimeout,
                    [&](Result<HttpReply> got) { reply.set_value(std::move(got)); });
    });
    return reply.get_future().get();
  }

 private:
  void on_thread(const std::function<void()>& work) {
    std::promise<void> done;
    threads_.post(0, [&] {
      work();
      done.set_value();
    });
    done.get_future().get();
  }

  IoThreads threads_;
  std::unique_ptr<HttpClient> client_;
};

// An empty one when the text is none.
json::object object_of(const std::string& text) {
  boost::system::error_code error;
  json::value root = json::parse(text, error);
  return root.is_object() ? std::move(root.get_object()) : json::object();
}

}  // namespace

std::string wrong_with(const KeepArguments& arguments) {
  if (arguments.web.empty()) return "keep wants --web HOST:PORT, the daemon's `web.endpoint`";
  if (arguments.reason.empty()) return "keep wants --reason TEXT, which the kept spans will say";
  if (arguments.ids.empty() == arguments.condition.empty()) return "keep wants trace ids, or --condition TEXT";
  if (arguments.again && arguments.ids.empty()) return "--again wants trace ids";
  return "";
}

int keep_traces(const KeepArguments& arguments) {
  const Result<HttpUrl> url = parse_http_url(url_of(arguments.web));
  if (!url) {
    fmt::print(stderr, "tailgate: --web: {}\n", url.error().text);
    return exit_with::kCannotOpen;
  }
  Web web(*url);
  Result<HttpReply> reply = web.ask("POST", "/keep", request_of(arguments));
  if (reply && reply->status != 202) {
    const std::string why(text_of(object_of(reply->body), "error"));
    fmt::print(stderr, "tailgate: {} says {}: {}\n", arguments.web, reply->status, why.empty() ? reply->body : why);
    return exit_with::kJudgedBad;
  }
  std::string job;
  for (;;) {
    if (!reply) {
      fmt::print(stderr, "tailgate: {}: {}\n", arguments.web, reply.error().text);
      return exit_with::kCannotOpen;
    }
    const json::object root = object_of(reply->body);
    const std::string_view state = text_of(root, "state");
    if (job.empty()) job = text_of(root, "job");
    if (state != "waiting" && state != "running") {
      fmt::print("{}\n", reply->body);
      if (state != "done") return exit_with::kJudgedBad;
      return count_of(root, "kept_traces") + count_of(root, "already_kept") != 0 ? exit_with::kDone
                                                                                 : exit_with::kNothingFound;
    }
    std::this_thread::sleep_for(kAskEvery);
    reply = web.ask("GET", "/keep/" + job, "");
  }
}

}  // namespace tailgate
