// SPDX-License-Identifier: Apache-2.0
// s3: what the reader of its keys (config.cc) hands to the exporter (s3.cc).
#pragma once

#include <memory>
#include <string>

#include "export/http/http_exporter.h"
#include "export/parquet/span_files.h"
#include "export/parquet/span_table.h"
#include "export/s3/credentials.h"

namespace tailgate {

struct S3Options {
  HttpExporterOptions http;  // one URL, whose path is "/" or that of the bucket
  std::string region = "us-east-1";
  std::string prefix;  // of every object; "" or ends in '/'
  S3CredentialsOptions credentials;
  std::size_t part_bytes = 16 << 20;
  SpanTableOptions table;
  TimeRange time_range;      // of the names of folders
  std::string module;        // path of libtailgate_parquet.so
  MakeSpanTable make_table;  // instead of it
};

std::unique_ptr<Exporter> make_s3_exporter(S3Options options);

}  // namespace tailgate
