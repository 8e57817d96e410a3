// SPDX-License-Identifier: Apache-2.0
#include "net/http/grpc_health.h"

#include <catch2/catch.hpp>
#include <string>

using namespace tailgate;

namespace {

const std::vector<std::string_view> kServices = {"a.Collector"};

std::string request(std::string_view service) {
  return std::string("\x0A") + static_cast<char>(service.size()) + std::string(service);
}

std::string status_of(const Response& response) {
  for (const auto& [name, value] : response.trailers) {
    if (name == "grpc-status") return value;
  }
  return "";
}

constexpr auto kCheck = HealthMethod::kCheck;
constexpr auto kWatch = HealthMethod::kWatch;

std::string framed(char status) { return std::string("\0\0\0\0\2\x08", 6) + status; }

}  // namespace

TEST_CASE("the paths of grpc.health.v1 are known", "[receive]") {
  CHECK(health_method_of("/grpc.health.v1.Health/Check") == kCheck);
  CHECK(health_method_of("/grpc.health.v1.Health/Watch") == kWatch);
  CHECK_FALSE(health_method_of("/grpc.health.v1.Health/List"));
  CHECK_FALSE(health_method_of("/grpc.health.v1.Health/"));
}

TEST_CASE("a check of the server or of its service says whether it serves", "[receive]") {
  for (const std::string& asked : {std::string(), request(""), request("a.Collector")}) {
    CHECK(health_answer(kCheck, asked, kServices, true).body == framed(1));
    CHECK(health_answer(kCheck, asked, kServices, false).body == framed(2));
    CHECK(status_of(health_answer(kCheck, asked, kServices, true)) == "0");
    CHECK_FALSE(health_answer(kCheck, asked, kServices, true).at_drain);
  }
  CHECK(status_of(health_answer(kCheck, request("another"), kServices, true)) == "5");
  CHECK(status_of(health_answer(kCheck, "\x0A\x7F", kServices, true)) == "3");
}

TEST_CASE("a watch stays open while the server serves", "[receive]") {
  const Response served = health_answer(kWatch, "", kServices, true);
  CHECK(served.body == framed(1));
  CHECK(served.at_drain == framed(2));
  const Response unknown = health_answer(kWatch, request("another"), kServices, true);
  CHECK(unknown.body == framed(3));
  CHECK(unknown.at_drain == "");
  const Response late = health_answer(kWatch, "", kServices, false);
  CHECK(late.body == framed(2));
  CHECK_FALSE(late.at_drain);
}
