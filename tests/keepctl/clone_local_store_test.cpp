#include "keepctl/clone/job_store.hpp"
#include "keepctl/cluster/local_file.hpp"
#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"
#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::test;

namespace {

struct job_folder {
    [[nodiscard]] std::optional<std::string> text(const std::string& name) const {
        const auto there = run(store->read(name, soon())).value();
        return there ? std::optional(there->text) : std::nullopt;
    }

    const temp_dir dir;
    const std::unique_ptr<job_store> store = make_local_job_store(dir.path().string()).value();
};

}  // namespace

TEST_CASE("a file of a job is made once", "[keepctl][clone]") {
    const job_folder job;
    CHECK(job.text("job.json") == std::nullopt);
    CHECK(run(job.store->swap("job.json", "one", std::nullopt, soon())).value());
    CHECK_FALSE(run(job.store->swap("job.json", "two", std::nullopt, soon())).value());
    CHECK(job.text("job.json") == "one");
    // Also one of the same text: of two workers one has made it.
    CHECK_FALSE(run(job.store->swap("job.json", "one", std::nullopt, soon())).value());
}

TEST_CASE("a file of a job is replaced only as long as it is the one that was read", "[keepctl][clone]") {
    const job_folder job;
    REQUIRE(run(job.store->swap("segments/0.claim", "one", std::nullopt, soon())).value());
    const auto read = run(job.store->read("segments/0.claim", soon())).value();
    REQUIRE(read.has_value());
    CHECK(run(job.store->swap("segments/0.claim", "two", read->version, soon())).value());
    CHECK_FALSE(run(job.store->swap("segments/0.claim", "three", read->version, soon())).value());
    CHECK(job.text("segments/0.claim") == "two");
    // One that is gone is not made anew.
    std::filesystem::remove(job.dir.path() / "segments/0.claim");
    CHECK_FALSE(run(job.store->swap("segments/0.claim", "four", "two", soon())).value());
    CHECK(job.text("segments/0.claim") == std::nullopt);
}

TEST_CASE("a file of a job that cannot be read is not taken for a missing one", "[keepctl][clone]") {
    const job_folder job;
    std::filesystem::create_directory(job.dir.path() / "segments/0.json");
    CHECK_FALSE(run(job.store->read("segments/0.json", soon())).has_value());
    CHECK_FALSE(run(job.store->swap("segments/0.json", "one", std::nullopt, soon())).has_value());
}

TEST_CASE("a change of a job's file waits for the lock of another process", "[keepctl][clone]") {
    const job_folder job;
    std::optional lock = lock_file((job.dir.path() / ".lock").string()).value();
    const auto refused = run(job.store->swap("job.json", "one", std::nullopt, deadline::in(std::chrono::seconds(0))));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == errc::unavailable);
    CHECK(job.text("job.json") == std::nullopt);

    asio::io_context& context = new_context();
    std::optional<result<bool>> created;
    test::start_work(context, job.store->swap("job.json", "one", std::nullopt, soon()),
                     [&](result<bool> got) { created = std::move(got); });
    context.poll();
    CHECK_FALSE(created.has_value());
    lock.reset();
    REQUIRE(turn_until(context, [&] { return created.has_value(); }));
    CHECK(created->value());
    CHECK(job.text("job.json") == "one");
}
