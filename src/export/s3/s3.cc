// SPDX-License-Identifier: Apache-2.0
// s3: kept traces as Parquet files on S3 or what speaks its protocol.
//
// A batch is what was collected (SendQueue waits until it is large or old enough) and becomes one file for each hour in
// which spans of it began. It is done when the store has all of them. Files go one after the other, so that only one
// is in memory in its written form; which hours the store has already is remembered until the
// batch has ended. A file is named by the hash of its content: what is sent again within one process is the same
// object.
//
// Threads: the runner's. Writing a file is work of its own and blocks it for that long.
#include "export/s3/s3.h"

#include <fmt/format.h>

#include <atomic>
#include <set>
#include <utility>

#include "base/clock.h"
#include "codec/percent.h"
#include "export/parquet/library.h"
#include "export/s3/reply.h"

namespace tailgate {
namespace {

constexpr const char* kContentType = "application/vnd.apache.parquet";

class S3Exporter final : public HttpExporter {
 public:
  explicit S3Exporter(S3Options options)
      : HttpExporter(options.http), options_(std::move(options)), credentials_(io(), options_.credentials) {
    const HttpUrl& url = options_.http.urls[0];
    host_ = url.authority();
    base_ = url.path == "/" ? "" : url.path;
    limits_.rows = options_.table.row_group_rows;
    table_ = options_.table;
    table_.piece_bytes = options_.part_bytes;
  }

  Result<void> start() override {
    make_table_ = options_.make_table;
    if (make_table_) return {};
    Result<MakeSpanTable> loaded = load_parquet_module(options_.module);
    if (!loaded) return tl::unexpected(loaded.error());
    make_table_ = std::move(*loaded);
    return {};
  }

  void send(BatchPtr batch) override {
    Stored& stored = stored_.of(batch);
    if (stored.began_ns == 0) stored.began_ns = wall_now_ns();
    if (stopped()) return end(batch->id, stop_result());
    auto job = std::make_shared<Job>();
    job->files = std::make_unique<SpanFiles>(*batch, stored.began_ns, options_.time_range);
    job->batch = std::move(batch);
    next_file(job);
  }

  void cancel() override {
    HttpExporter::cancel();
    credentials_.cancel();
  }

  std::optional<FilesWritten> files_written() const override {
    return FilesWritten{files_written_.load(std::memory_order_relaxed), bytes_written_.load(std::memory_order_relaxed)};
  }

  std::optional<std::uint64_t> misdated() const override { return misdated_.load(std::memory_order_relaxed); }

 private:
  // Of a batch, the hours whose files the store has.
  struct Stored {
    std::uint64_t began_ns = 0;  // of the first attempt: what goes to which file must not change after it
    std::set<std::int64_t> hours;
  };

  // One attempt at a batch.
  struct Job {
    BatchPtr batch;
    std::unique_ptr<SpanFiles> files;
    std::size_t file = 0;  // of files
    FilePieces pieces;     // each goes with its upload
    std::uint64_t bytes = 0;
    CutItems cut;
    std::string path;  // of the object, encoded
    std::string upload_id;
    std::vector<std::string> etags;  // of the parts that are there
  };
  using JobPtr = std::shared_ptr<Job>;
  using Next = void (S3Exporter::*)(const JobPtr&, const HttpReply&);

  void next_file(const JobPtr& job) {
    const auto& files = job->files->files();
    const std::set<std::int64_t>& stored = stored_.at(job->batch->id).hours;
    while (job->file < files.size() && stored.contains(files[job->file].hour)) ++job->file;
    if (job->file == files.size()) {
      stored_.forget(job->batch->id);
      misdated_.fetch_add(job->files->misdated(), std::memory_order_relaxed);
      return end(job->batch->id, SendResult::done_but_for(job->files->unreadable()));
    }
    if (stopped()) return give_up(job, stop_result());
    const HourFile& file = files[job->file];
    job->cut = {};
    Result<FilePieces> written = write(job, file);
    if (!written) {
      const bool ended = written.error().kind == ErrorKind::kUnavailable;
      return give_up(job, ended ? stop_result() : SendResult::retry(FailReason::kIo, written.error().text));
    }
    const std::string name = fmt::format("{}{}spans-{}.parquet", options_.prefix, hour_folder(file.hour),
                                         sha256_hex(*written).substr(0, 32));
    job->path = "/" + percent_encoded(name, PercentKeep::kPath);
    job->pieces = std::move(*written);
    job->bytes = 0;
    for (const std::string& piece : job->pieces) job->bytes += piece.size();
    job->upload_id.clear();
    job->etags.clear();
    if (job->pieces.size() == 1) {
      request(job, "PUT", "", piece(job, 0), &S3Exporter::object_there);
    } else {
      request(job, "POST", "uploads=", nullptr, &S3Exporter::begun);
    }
  }

  // The table's own memory goes before anything is sent.
  Result<FilePieces> write(const JobPtr& job, const HourFile& file) {
    const std::unique_ptr<SpanTableWriter> table = make_table_(table_);
    if (table == nullptr) return fail(ErrorKind::kIo, "no memory for a Parquet file");
    return write_span_file(*table, *job->batch, file, limits_, job->cut, [this] { return stopped(); });
  }

  // Writing a file is work of this thread, and nobody can interrupt it from outside.
  bool stopped() const { return cancelled() || overdue(monotonic_now()); }
  static SendResult stop_result() {
    return SendResult::retry(FailReason::kUnavailable, "the process ends before the file is written");
  }

  static std::shared_ptr<const std::string> piece(const JobPtr& job, std::size_t number) {
    return std::make_shared<const std::string>(std::move(job->pieces[number]));
  }

  void begun(const JobPtr& job, const HttpReply& reply) {
    job->upload_id = percent_encoded(xml_text(reply.body, "UploadId"), PercentKeep::kUnreserved);
    if (job->upload_id.empty())
      return give_up(job, SendResult::retry(FailReason::kUnavailable, "the store gives no id for a multipart upload"));
    next_part(job);
  }

  void next_part(const JobPtr& job) {
    const std::size_t number = job->etags.size();
    if (number == job->pieces.size()) {
      const auto body = std::make_shared<const std::string>(complete_parts(job->etags));
      return request(job, "POST", "uploadId=" + job->upload_id, body, &S3Exporter::completed);
    }
    request(job, "PUT", fmt::format("partNumber={}&uploadId={}", number + 1, job->upload_id), piece(job, number),
            &S3Exporter::part_there);
  }

  // A store names what it has stored; a proxy's page with status 200 has no name for it.
  void object_there(const JobPtr& job, const HttpReply& reply) {
    if (reply.etag.empty()) return give_up(job, not_believed(reply, "the ETag of the object"));
    on_stored(job, reply);
  }

  void part_there(const JobPtr& job, const HttpReply& reply) {
    if (reply.etag.empty()) return give_up(job, not_believed(reply, "the ETag of the part"));
    job->etags.push_back(reply.etag);
    next_part(job);
  }

  void completed(const JobPtr& job, const HttpReply& reply) {
    if (!s3_completed(reply)) return give_up(job, s3_failure(reply, wall_now_ns()));
    on_stored(job, reply);
  }

  void on_stored(const JobPtr& job, const HttpReply&) {
    job->upload_id.clear();  // nothing to abort any more
    files_written_.fetch_add(1, std::memory_order_relaxed);
    bytes_written_.fetch_add(job->bytes, std::memory_order_relaxed);
    count_cut(job->cut);
    stored_.at(job->batch->id).hours.insert(job->files->files()[job->file].hour);
    next_file(job);
  }

  void request(const JobPtr& job, const char* method, const std::string& query,
               const std::shared_ptr<const std::string>& body, Next next) {
    signed_call(job->path, method, query, body, [this, job, next](const Result<HttpReply>& reply) {
      if (!reply) return give_up(job, failure_of(reply.error()));
      if (reply->status / 100 == 4) credentials_.refused();
      if (!s3_succeeded(*reply)) return give_up(job, s3_failure(*reply, wall_now_ns()));
      (this->*next)(job, *reply);
    });
  }

  void signed_call(const std::string& path, const char* method, const std::string& query,
                   const std::shared_ptr<const std::string>& body, Answer answer) {
    if (cancelled()) return answer(fail(ErrorKind::kUnavailable, "cancelled"));
    credentials_.with(monotonic_now(), [this, path, method, query, body,
                                        answer = std::move(answer)](const Result<AwsCredentials>& keys) {
      if (!keys) return answer(tl::unexpected(keys.error()));
      if (cancelled()) return answer(fail(ErrorKind::kUnavailable, "cancelled"));
      const std::string whole = base_ + path;
      const ByteView bytes = body == nullptr ? ByteView() : ByteView(*body);
      HttpHeaders headers = aws_headers({method, host_, whole, query, bytes}, *keys, options_.region, wall_now_ns());
      headers.emplace_back("Content-Type", query.empty() ? kContentType : "application/octet-stream");
      call(method, query.empty() ? path : path + "?" + query, std::move(headers), body, answer);
    });
  }

  void give_up(const JobPtr& job, SendResult why) {
    // Parts that nobody completes cost money until a rule of the bucket removes them. If this call fails as well, that
    // rule has to do it.
    if (!job->upload_id.empty() && !cancelled())
      signed_call(job->path, "DELETE", "uploadId=" + job->upload_id, nullptr, [](const Result<HttpReply>&) {});
    end(job->batch->id, std::move(why));
  }

  const S3Options options_;
  S3Credentials credentials_;
  RowGroupLimits limits_;
  SpanTableOptions table_;
  std::string host_, base_;
  MakeSpanTable make_table_;
  BatchMemory<Stored> stored_;
  std::atomic<std::uint64_t> files_written_{0}, bytes_written_{0}, misdated_{0};
};

}  // namespace

std::unique_ptr<Exporter> make_s3_exporter(S3Options options) {
  return std::make_unique<S3Exporter>(std::move(options));
}

}  // namespace tailgate
