// ConvertServers: the TCP endpoints of a receiver whose protocols are converted, with their handlers. Owned by the
// receiver; threads as there.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "receive/convert_handler.h"

namespace tailgate {

class ConvertServers {
 public:
  Result<void> open(const std::string& name, const ConvertEndpointConfig& config, const ReceiverContext& context,
                    std::vector<ConvertRoute> routes) {
    handlers_.push_back(std::make_unique<ConvertHandler>(config, context, std::move(routes)));
    ServerOptions options;
    options.name = name;
    options.endpoint = config.endpoint;
    options.socket_mode = config.socket_mode;
    options.limits = config.limits;
    options.budget = context.budget;
    options.tls_connections = context.tls_connections;
    options.tls = config.tls;
    options.auth = config.auth;
    options.config_path = config.config_path;
    options.notice = context.notice;
    auto server = Server::open(*context.threads, std::move(options), *handlers_.back());
    if (!server) return tl::unexpected<Error>(server.error());
    servers_.push_back(std::move(*server));
    return {};
  }

  std::vector<std::string> endpoints() const {
    std::vector<std::string> out;
    for (const auto& server : servers_) out.push_back(server->endpoint());
    return out;
  }

  void drain() {
    for (const auto& handler : handlers_) handler->drain();
    for (const auto& server : servers_) server->drain();
  }

  void stop(Duration grace) {
    const TimePoint deadline = monotonic_now() + grace;
    for (const auto& server : servers_) server->stop(std::max(Duration::zero(), Duration(deadline - monotonic_now())));
  }

  ReceiverStats stats() const {
    ReceiverStats out;
    for (const auto& server : servers_) {
      const ServerStats s = server->stats();
      out.connections += s.connections;
      for (std::size_t i = 0; i < out.closed.size(); ++i) out.closed[i] += s.closed[i];
    }
    return out;
  }

 private:
  std::vector<std::unique_ptr<ConvertHandler>> handlers_;  // outlive the servers
  std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace tailgate
