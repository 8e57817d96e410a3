// SPDX-License-Identifier: Apache-2.0
// file: kept traces as OTLP JSON lines, one line per trace, in the form of the Collector's file exporter.
//     file: {path: kept-traces.json, rotation: {max_megabytes: 100, max_days: 0, max_backups: 100, localtime: false}}
// Unlike the Collector's, it rotates without being asked and continues a file that exists (RotatingFile). Each batch is
// written at once; one that fails is tried later, so that no line is lost or doubled.
#include "base/kept_memory.h"
#include "config/rotation_config.h"
#include "export/export_config.h"
#include "export/registry.h"
#include "telemetry/rotating_file.h"
#include "wire/otlp/json_write.h"

namespace tailgate {
namespace {

class FileExporter final : public BlockingExporter {
 public:
  FileExporter(const std::string& path, const RotationOptions& options, bool make_directory)
      : file_(path, options, make_directory) {}

  Result<void> start() override { return file_.open(); }
  void follow_path() override { file_.follow_path(); }

 protected:
  SendResult write(const Batch& batch) override {
    lines_.clear();
    CutItems cut;
    for (const KeptTracePtr& t : batch.traces) {
      append_otlp_json(lines_, t->otlp, &cut);
      lines_ += '\n';
    }
    const Result<void> written = file_.append(lines_);
    limit_memory(lines_, 8 << 20);
    if (written) count_cut(cut);
    return written ? SendResult::done() : SendResult::retry(FailReason::kIo, written.error().text);
  }

 private:
  RotatingFile file_;
  std::string lines_;
};

}  // namespace

ExporterParts read_file_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  const std::string path = node.text("path");
  if (path.empty()) node.error("path", "expected the path of a file");
  node.choice("format", "json", {"json"});
  if (!node.text("compression").empty())
    node.child("compression").error("expected no compression, it is not supported here");
  if (!node.text("encoding").empty()) node.child("encoding").error("expected no encoding, it is not supported here");
  if (node.child("group_by").boolean("enabled", false)) {
    node.child("group_by").error("expected no group_by, it is not supported here");
  }
  node.without_effect({"flush_interval", "directory_permissions"});
  if (node.has("append") && !node.boolean("append", true)) {
    node.child("append").notice("a file that exists is continued, never emptied");
  }
  const bool make_directory = node.boolean("create_directory", false);
  RotationOptions options;
  const ConfigNode rotation = node.child("rotation");
  read_rotation(rotation, options);
  rotation.finish();

  parts.queue.bytes_max = defaults.queue_bytes_max;
  parts.queue.in_flight_max = 1;
  parts.queue.divide = false;
  parts.queue.retry.initial_interval = std::chrono::seconds(1);
  read_queue(node, parts.queue);
  parts.queue.in_flight_max = 1;  // one file, one writer
  if (!path.empty()) parts.exporter = std::make_unique<FileExporter>(path, options, make_directory);
  return parts;
}

}  // namespace tailgate
