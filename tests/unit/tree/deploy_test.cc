// SPDX-License-Identifier: Apache-2.0
// What is under deploy/ fits the daemon: metrics, configurations, ports, probes and pages. No Kubernetes, Docker or
// Grafana is asked; Prometheus is, by tests/e2e.
#include <simdjson.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>

#include "settings/assembly.h"
#include "telemetry/metrics.h"
#include "tree.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

const fs::path kDeploy = kTree / "deploy";

std::string text_at(const YAML::Node& node, const char* key) {
  REQUIRE(node[key].IsDefined());
  return node[key].as<std::string>();
}

// Every scalar under a key `key`, wherever.
void collect(const YAML::Node& node, const std::string& key, std::vector<std::string>& out) {
  if (node.IsSequence()) {
    for (const YAML::Node& one : node) collect(one, key, out);
  }
  if (!node.IsMap()) return;
  for (const auto& entry : node) {
    if (entry.first.as<std::string>() == key && entry.second.IsScalar()) out.push_back(entry.second.as<std::string>());
    collect(entry.second, key, out);
  }
}

std::set<std::string> metric_names() {
  std::set<std::string> out;
  for (const Metric& metric : kMetrics) {
    const std::string name(metric.name);
    if (metric.type != MetricType::kHistogram) out.insert(name);
    for (const char* part : {"_bucket", "_count", "_sum"}) {
      if (metric.type == MetricType::kHistogram) out.insert(name + part);
    }
  }
  return out;
}

void check_metrics_of(const std::vector<std::string>& expressions) {
  const std::set<std::string> known = metric_names();
  for (const std::string& expression : expressions) {
    for (const std::string& name : matches(expression, "((?:tailgate|process)_[a-z_]+)")) {
      INFO(expression << " asks for " << name);
      CHECK(known.contains(name));
    }
  }
}

std::vector<YAML::Node> kubernetes(const char* file) { return YAML::LoadAllFromFile(kDeploy / "kubernetes" / file); }

const YAML::Node find(const std::vector<YAML::Node>& objects, const std::string& kind, const std::string& name) {
  for (const YAML::Node& object : objects) {
    if (text_at(object, "kind") == kind && text_at(object["metadata"], "name") == name) return object;
  }
  FAIL("no " << kind << " " << name);
  return {};
}

const YAML::Node by_name(const YAML::Node& list, const std::string& name) {
  for (const YAML::Node& one : list) {
    if (text_at(one, "name") == name) return one;
  }
  FAIL("nothing named " << name);
  return {};
}

// "2Gi", "128Mi" in bytes.
std::size_t quantity(const std::string& text) {
  const std::size_t unit = text.ends_with("Gi") ? std::size_t{1} << 30 : std::size_t{1} << 20;
  REQUIRE((text.ends_with("Gi") || text.ends_with("Mi")));
  return std::stoul(text) * unit;
}

// The tailgate.yaml in a ConfigMap, read as the daemon would.
Result<DaemonConfig> embedded(const YAML::Node& config_map) {
  std::string path = (fs::temp_directory_path() / "tailgate-deploy-XXXXXX").string();
  const int descriptor = mkstemp(path.data());
  REQUIRE(descriptor >= 0);
  close(descriptor);
  std::ofstream(path) << text_at(config_map["data"], "tailgate.yaml");
  auto config = read_daemon_config({path, {}});
  if (config) (void)assemble(*config);
  fs::remove(path);
  return config;
}

// The container and the pod around it: limits that fit memory_limit, probes on the pages, nothing it may do.
void check_pod(const YAML::Node& spec, const YAML::Node& container, const DaemonConfig& config) {
  CHECK(messages(config.issues->errors) == std::vector<std::string>{});
  CHECK(messages(config.issues->notices) == std::vector<std::string>{});
  const std::size_t limit = quantity(text_at(container["resources"]["limits"], "memory"));
  CHECK(config.sampling.memory_limit <= limit * 8 / 10);
  CHECK(config.sampling.memory_limit >= limit * 7 / 10);
  CHECK(quantity(text_at(container["resources"]["requests"], "memory")) <= limit);
  CHECK(container["resources"]["requests"]["cpu"].IsDefined());
  CHECK(std::chrono::seconds(spec["terminationGracePeriodSeconds"].as<int>()) > config.shutdown_timeout);

  std::map<std::string, std::string> ports;
  for (const YAML::Node& port : container["ports"]) ports[text_at(port, "name")] = text_at(port, "containerPort");
  for (const auto& [probe, path] :
       {std::pair("startupProbe", "/ready"), {"readinessProbe", "/ready"}, {"livenessProbe", "/health"}}) {
    CHECK(text_at(container[probe]["httpGet"], "path") == path);
    CHECK(config.health.endpoint == "0.0.0.0:" + ports[text_at(container[probe]["httpGet"], "port")]);
  }
  bool has_metrics = false;
  for (const auto& [name, port] : ports) has_metrics |= config.metrics.endpoint == "0.0.0.0:" + port;
  CHECK(has_metrics);

  YAML::Node own = container["securityContext"], pod = spec["securityContext"];
  CHECK(own["readOnlyRootFilesystem"].as<bool>());
  CHECK_FALSE(own["allowPrivilegeEscalation"].as<bool>());
  CHECK(own["capabilities"]["drop"][0].as<std::string>() == "ALL");
  CHECK((own["runAsNonRoot"] ? own : pod)["runAsNonRoot"].as<bool>());
  const std::string user = (own["runAsUser"] ? own : pod)["runAsUser"].as<std::string>();
  CHECK(read_text(kTree / "Dockerfile").find("USER " + user + ":") != std::string::npos);
  CHECK(text_at(pod["seccompProfile"], "type") == "RuntimeDefault");
}

}  // namespace

TEST_CASE("what the dashboard and the alerts ask for are metrics of the daemon", "[tree]") {
  std::vector<std::string> expressions;
  collect(YAML::LoadFile(kDeploy / "prometheus/alerts.yaml"), "expr", expressions);
  REQUIRE(expressions.size() >= 15);
  for (const char* file : {"grafana/tailgate.json", "grafana/services.json"}) {
    const YAML::Node dashboard = YAML::LoadFile(kDeploy / file);
    collect(dashboard, "expr", expressions);
    collect(dashboard, "query", expressions);
  }
  REQUIRE(expressions.size() >= 60);
  check_metrics_of(expressions);
}

TEST_CASE("the dashboards are JSON, and no two of a dashboard's panels are in one place", "[tree]") {
  const char* const file = GENERATE("grafana/tailgate.json", "grafana/services.json");
  simdjson::dom::parser parser;
  REQUIRE(parser.load((kDeploy / file).string()).error() == simdjson::SUCCESS);
  std::set<std::pair<int, int>> taken;
  std::set<int> ids;
  for (const YAML::Node& panel : YAML::LoadFile(kDeploy / file)["panels"]) {
    INFO(text_at(panel, "title"));
    CHECK(ids.insert(panel["id"].as<int>()).second);
    const YAML::Node at = panel["gridPos"];
    CHECK(at["x"].as<int>() + at["w"].as<int>() <= 24);
    for (int x = 0; x < at["w"].as<int>(); ++x) {
      for (int y = 0; y < at["h"].as<int>(); ++y) {
        CHECK(taken.emplace(at["x"].as<int>() + x, at["y"].as<int>() + y).second);
      }
    }
  }
}

TEST_CASE("every alert has a section in docs/operations.md, and every section an alert", "[tree]") {
  const std::string page = read_text(kTree / "docs/operations.md");
  std::set<std::string> alerts, sections;
  for (const YAML::Node& group : YAML::LoadFile(kDeploy / "prometheus/alerts.yaml")["groups"]) {
    for (const YAML::Node& rule : group["rules"]) {
      const std::string name = text_at(rule, "alert");
      alerts.insert(name);
      std::string anchor = name;
      std::transform(anchor.begin(), anchor.end(), anchor.begin(), [](unsigned char c) { return std::tolower(c); });
      CHECK(text_at(rule["annotations"], "runbook") == "docs/operations.md#" + anchor);
      CHECK(text_at(rule["annotations"], "summary").size() > 10);
      const std::string severity = text_at(rule["labels"], "severity");
      CHECK((severity == "page" || severity == "ticket"));
    }
  }
  for (const std::string& name : matches(page, "\n### (Tailgate[A-Za-z]+)\n")) sections.insert(name);
  CHECK(sections == alerts);
}

TEST_CASE("the Kubernetes gateway fits its configuration", "[tree]") {
  const std::vector<YAML::Node> objects = kubernetes("gateway.yaml");
  const auto config = embedded(find(objects, "ConfigMap", "tailgate-gateway"));
  REQUIRE(config.has_value());
  const YAML::Node set = find(objects, "StatefulSet", "tailgate-gateway");
  const YAML::Node spec = set["spec"]["template"]["spec"], container = by_name(spec["containers"], "tailgate");
  check_pod(spec, container, *config);
  const std::string labels = YAML::Dump(set["spec"]["template"]["metadata"]["labels"]);
  CHECK(YAML::Dump(set["spec"]["selector"]["matchLabels"]) == labels);
  CHECK(YAML::Dump(find(objects, "PodDisruptionBudget", "tailgate-gateway")["spec"]["selector"]["matchLabels"]) ==
        labels);
  CHECK(find(objects, "Service", text_at(set["spec"], "serviceName"))["spec"]["clusterIP"].as<std::string>() == "None");
  for (const char* name : {"tailgate-gateway", "tailgate-gateway-pods"}) {
    const YAML::Node service = find(objects, "Service", name)["spec"];
    CHECK(YAML::Dump(service["selector"]) == labels);
    for (const YAML::Node& port : service["ports"]) {
      CHECK(text_at(by_name(container["ports"], text_at(port, "targetPort")), "containerPort") ==
            text_at(port, "port"));
    }
  }
  // The queue is on the volume, which has room for what it may take.
  const YAML::Node data = by_name(container["volumeMounts"], "data");
  const std::string text = text_at(find(objects, "ConfigMap", "tailgate-gateway")["data"], "tailgate.yaml");
  const YAML::Node queue = YAML::Load(text)["exporters"]["otlp"]["sending_queue"];
  CHECK(text_at(queue, "directory").starts_with(text_at(data, "mountPath") + "/"));
  const YAML::Node claim = set["spec"]["volumeClaimTemplates"][0];
  CHECK(text_at(claim["metadata"], "name") == "data");
  CHECK(quantity(text_at(claim["spec"]["resources"]["requests"], "storage")) >=
        2 * quantity(std::regex_replace(text_at(queue, "max_bytes"), std::regex("B$"), "")));
}

TEST_CASE("the Kubernetes sidecar fits its configuration", "[tree]") {
  const std::vector<YAML::Node> objects = kubernetes("sidecar.yaml");
  const auto config = embedded(find(objects, "ConfigMap", "tailgate-sidecar"));
  REQUIRE(config.has_value());
  const YAML::Node spec = find(objects, "Deployment", "app")["spec"]["template"]["spec"];
  const YAML::Node container = by_name(spec["initContainers"], "tailgate");
  CHECK(text_at(container, "restartPolicy") == "Always");
  check_pod(spec, container, *config);
  CHECK(text_at(by_name(spec["volumes"], "tailgate-config")["configMap"], "name") == "tailgate-sidecar");
}

TEST_CASE("a gateway waits longer after the root than a sidecar keeps spans", "[tree]") {
  const auto sampling = [](const std::string& text) { return YAML::Load(text)["sampling"]; };
  const auto seconds = [](const YAML::Node& node) { return std::stoi(node.as<std::string>()); };
  const YAML::Node sidecar = sampling(read_text(kTree / "config/sidecar.yaml"));
  const YAML::Node gateway = sampling(read_text(kTree / "config/gateway.yaml"));
  CHECK(seconds(gateway["decision_wait_after_root_received"]) > seconds(sidecar["decision_wait"]));
  const auto in_map = [&](const char* file, const char* name) {
    return sampling(text_at(find(kubernetes(file), "ConfigMap", name)["data"], "tailgate.yaml"));
  };
  CHECK(seconds(in_map("gateway.yaml", "tailgate-gateway")["decision_wait_after_root_received"]) >
        seconds(in_map("sidecar.yaml", "tailgate-sidecar")["decision_wait"]));
}

TEST_CASE("compose mounts files that are there, and names its own services", "[tree]") {
  const YAML::Node compose = YAML::LoadFile(kDeploy / "compose/compose.yaml");
  std::set<std::string> mounted;
  for (const auto& service : compose["services"]) {
    INFO(service.first.as<std::string>());
    CHECK((service.second["image"] || service.second["build"]));
    for (const YAML::Node& other : service.second["depends_on"]) CHECK(compose["services"][other.as<std::string>()]);
    for (const YAML::Node& volume : service.second["volumes"]) {
      const std::string from = volume.as<std::string>().substr(0, volume.as<std::string>().find(':'));
      INFO(from);
      if (from.starts_with('.')) {
        CHECK(fs::exists(kDeploy / "compose" / from));
        mounted.insert(fs::path(from).filename().string());
      } else {
        CHECK(compose["volumes"][from].IsDefined());
      }
    }
  }
  for (const auto& entry : fs::directory_iterator(kDeploy / "compose")) {
    const std::string name = entry.path().filename().string();
    CHECK((name == "compose.yaml" || mounted.contains(name)));
    CHECK_NOTHROW(YAML::LoadAllFromFile(entry.path().string()));
  }
  // Hosts in the settings are services, the scrape is of the page, and the alerts' job is the one scraped.
  for (const char* file : {"tailgate.yaml", "prometheus.yaml", "grafana-datasources.yaml"}) {
    for (const std::string& host : matches(read_text(kDeploy / "compose" / file), "[ \"/]([a-z]+):[0-9]{4,5}[\",}]")) {
      INFO(file << " names " << host);
      CHECK(compose["services"][host].IsDefined());
    }
  }
  const YAML::Node scrape = YAML::LoadFile(kDeploy / "compose/prometheus.yaml")["scrape_configs"][0];
  CHECK(text_at(scrape, "job_name") == "tailgate");
  const auto config = read_daemon_config({(kDeploy / "compose/tailgate.yaml").string(), {}});
  REQUIRE(config.has_value());
  CHECK("tailgate" + config->metrics.endpoint.substr(config->metrics.endpoint.rfind(':')) ==
        scrape["static_configs"][0]["targets"][0].as<std::string>());
}

TEST_CASE("Grafana's data sources are doors of the web endpoint, and compose mounts them", "[tree]") {
  const std::string file = "grafana/provisioning/datasources/tailgate.yaml";
  const auto config = read_daemon_config({(kDeploy / "compose/tailgate.yaml").string(), {}});
  REQUIRE(config.has_value());
  const std::string address = "http://tailgate" + config->web.endpoint.substr(config->web.endpoint.rfind(':'));
  std::map<std::string, std::string> urls;
  for (const YAML::Node& source : YAML::LoadFile(kDeploy / file)["datasources"]) {
    urls[text_at(source, "type")] = text_at(source, "url");
    CHECK(text_at(source, "uid") == "tailgate-" + text_at(source, "type"));
    CHECK(text_at(source["jsonData"]["tracesToLogsV2"], "datasourceUid") == "loki");
    for (const YAML::Node& query : source["jsonData"]["tracesToMetrics"]["queries"])
      CHECK(text_at(query, "query").find("{$$__tags") != std::string::npos);
  }
  CHECK(urls == std::map<std::string, std::string>{{"tempo", address + "/tempo"}, {"jaeger", address + "/jaeger"}});
  CHECK(read_text(kDeploy / "compose/compose.yaml").find("../" + file + ":/etc/grafana/provisioning/datasources/") !=
        std::string::npos);
}
