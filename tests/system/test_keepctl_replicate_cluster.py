"""keepctl replicate to and from `cluster`: on which servers copies are, and how many; and servers that are away."""

import os
import types

from support import keepctl
from support.case import main
from support.daemon import directory_volume
from support.locator import md5
from support.mounts import Tmpfs
from support.replicate_case import ReplicateServerCase, count, rank
from support.s3_fault_proxy import FaultProxy
from support.wait import stable_port, until


class Copies(ReplicateServerCase):
    def holders(self, daemons, name):
        return [d for d in daemons if os.path.exists(os.path.join(d.roots()[0], name[:3], name))]

    def puts(self, daemon):
        return daemon.metric("keepstore_block_duration_seconds_count", method="put")

    def remove(self, daemon, name):
        os.unlink(os.path.join(daemon.roots()[0], name[:3], name))

    def to_cluster(self, source, daemons, copies, *more):
        return self.replicate(source, "cluster", "--replication", str(copies), *self.servers(daemons), *self.secrets, *more)

    def test_copies_are_on_the_first_servers_in_probe_order(self):
        daemons = [self.start([self.dir.make(f"v{i}")]) for i in range(3)]
        a = self.dir.make("a")
        blocks = self.fill(a, 20, 5000)
        # Some are there: one copy on the server of the lowest rank, as after a change of the servers.
        strays = sorted(blocks)[:5]
        for name in strays:
            keepctl.store(rank(name, daemons)[2].roots()[0], blocks[name])
        self.assert_counts(self.to_cluster(f"dir:{a}", daemons, 2), copied=len(blocks), present=0)
        for name in blocks:
            order = rank(name, daemons)
            expected = {order[0], order[2]} if name in strays else {order[0], order[1]}
            self.assertEqual(set(self.holders(daemons, name)), expected, name)
        for daemon in daemons:
            self.assertEqual({n: d for n, d in keepctl.stored(daemon.roots()[0]).items() if blocks[n] != d}, {})

        # With two copies each nothing is left to do, and nothing is sent.
        sent = [self.puts(d) for d in daemons]
        self.assert_counts(self.to_cluster(f"dir:{a}", daemons, 2), present=len(blocks), copied=0)
        self.assertEqual([self.puts(d) for d in daemons], sent)

        # A copy that is lost is made again, by one PUT.
        lost = sorted(blocks)[7]
        self.remove(rank(lost, daemons)[1], lost)
        self.assert_counts(self.to_cluster(f"dir:{a}", daemons, 2), present=len(blocks) - 1, copied=1)
        self.assertEqual(set(self.holders(daemons, lost)), set(rank(lost, daemons)[:2]))
        self.assertEqual(sum(self.puts(d) for d in daemons) - sum(sent), 1)

        # Of a single server only one copy is wanted.
        have = count(daemons[0].roots()[0])
        done = self.replicate(f"dir:{a}", self.place(daemons[0]), "--replication", "2", *self.secrets)
        self.assert_counts(done, present=have, copied=len(blocks) - have)

    def test_more_copies_or_servers_are_another_run(self):
        """Shards that are done for one copy of each block are not done for two, nor for a server that is new."""
        daemons = [self.start([self.dir.make(f"v{i}")]) for i in range(3)]
        a = self.dir.make("a")
        blocks = self.fill(a, 60, 5000)

        def interrupted(servers, copies):
            for file in self.state_files():
                os.unlink(self.path("state/runs/" + file))
            running = keepctl.start(self.dir.path, "replicate", f"dir:{a}", "cluster", "--replication", str(copies), "--digits", "2",
                                    "--jobs", "1", "--bandwidth", "256KiB", *self.servers(servers), *self.secrets)
            until(lambda: self.state_files() or running.poll() is not None, what="a checkpoint")
            running.kill()
            running.communicate()
            self.assertTrue(self.state_files())

        interrupted(daemons[:2], 1)
        done = self.to_cluster(f"dir:{a}", daemons[:2], 2, "--digits", "2")
        self.assertNotIn("going on with", done.stderr)
        self.assertEqual({len(self.holders(daemons, n)) for n in blocks}, {2})
        keepctl.store(a, b"one more")
        interrupted(daemons[:2], 2)
        done = self.to_cluster(f"dir:{a}", daemons, 2, "--digits", "2")
        self.assertNotIn("going on with", done.stderr)
        interrupted(daemons, 2)
        self.assertIn("going on with", self.to_cluster(f"dir:{a}", daemons, 2, "--digits", "2").stderr)

    def test_a_block_is_read_once_for_all_of_its_copies(self):
        source = self.start([self.dir.make("source")])
        daemons = [self.start([self.dir.make(f"v{i}")]) for i in range(3)]
        blocks = self.fill(source.roots()[0], 18)
        read = source.metric("keepstore_block_duration_seconds_count", method="get")
        self.assert_counts(self.to_cluster(self.place(source), daemons, 3), copied=len(blocks), bytes=sum(map(len, blocks.values())))
        self.assertEqual(source.metric("keepstore_block_duration_seconds_count", method="get") - read, len(blocks))
        for daemon in daemons:
            self.assertEqual(keepctl.stored(daemon.roots()[0]), blocks)

        # Of one that is rotten there is none.
        daemons = [self.start([self.dir.make(f"w{i}")], check_log=False) for i in range(3)]
        rotten = max(blocks, key=lambda n: len(blocks[n]))
        keepctl.store(source.roots()[0], blocks[rotten][:-1] + bytes([blocks[rotten][-1] ^ 1]), rotten)
        self.assert_counts(self.to_cluster(self.place(source), daemons, 2), 1, copied=len(blocks) - 1, bad_source=1)
        self.assertEqual([rotten in keepctl.stored(d.roots()[0]) for d in daemons], [False] * 3)

    def test_servers_that_refuse_a_block_hold_up_no_other(self):
        """One is full, one is slow: the copies are on the two others, and the slow one."""
        path = self.dir.make("full")
        mount = Tmpfs(path, "size=40m")  # Less than volumes keep free.
        self.addCleanup(mount.close)
        daemons = [self.start([path], check_log=False)] + [self.start([self.dir.make(f"v{i}")]) for i in range(3)]
        slow = FaultProxy(*daemons[1].address)
        self.addCleanup(slow.close)
        slow.rules({"fault": "slow_request", "method": "PUT", "rate": 4_000_000})
        a = self.dir.make("a")
        blocks = self.fill(a, 12, 1_500_000)  # More than waits for a server that takes no more.
        names = [w for d in (daemons[0], *daemons[2:]) for w in ("--server", self.place(d).removeprefix("keep:"))]
        done = self.replicate(f"dir:{a}", "cluster", "--replication", "2", *names, "--server", slow.endpoint, *self.secrets)
        self.assert_counts(done, copied=len(blocks), failed=0)
        self.assertEqual(done.stderr.count("is full"), 1, done)
        self.assertEqual({len(self.holders(daemons, n)) for n in blocks}, {2})
        self.assertEqual(keepctl.stored(path), {})
        for daemon in daemons:
            self.assertEqual({n: d for n, d in keepctl.stored(daemon.roots()[0]).items() if blocks[n] != d}, {})

    def test_any_good_copy_of_a_cluster_will_do(self):
        daemons = [self.start([self.dir.make(f"v{i}")], check_log=False) for i in range(3)]
        blocks = {}
        for i in range(15):
            data = self.random.randbytes(5000)
            holders = self.random.sample(daemons, 2)
            blocks[keepctl.store(holders[0].roots()[0], data)] = data
            keepctl.store(holders[1].roots()[0], b"rotten", md5(data))
        b = self.dir.make("b")
        done = self.replicate("cluster", f"dir:{b}", *self.servers(daemons), *self.secrets)
        self.assert_counts(done, copied=len(blocks))
        self.assertEqual(keepctl.stored(b), blocks)
        # What the destination has is one of the sizes of the source, and good.
        done = self.replicate("cluster", f"dir:{b}", *self.servers(daemons), *self.secrets)
        self.assert_counts(done, present=len(blocks), copied=0, failed=0)

    def test_rot_that_shows_in_the_middle_of_a_body(self):
        """Every GET of a block is cut: only its server can say that the copy is bad."""
        source = self.start([self.dir.make("source")], check_log=False)
        daemons = [self.start([self.dir.make(f"v{i}")], check_log=False) for i in range(2)]
        blocks = self.fill(source.roots()[0], 4, 1_000_000)
        rotten, whole = sorted(blocks)[:2]
        proxy = FaultProxy(*source.address)
        self.addCleanup(proxy.close)
        proxy.rules({"fault": "status", "status": 502, "method": "HEAD", "path": rotten},
                    *({"fault": "truncate", "method": "GET", "path": name, "after": 600_000} for name in (rotten, whole)))
        done = self.to_cluster(f"keep:{proxy.endpoint}", daemons, 2)
        self.assert_counts(done, 1, copied=2, bad_source=1, failed=1)
        for daemon in daemons:
            self.assertEqual(set(keepctl.stored(daemon.roots()[0])), set(blocks) - {rotten, whole})
        done = self.to_cluster(f"keep:{proxy.endpoint}", daemons[:1], 1)
        self.assert_counts(done, 1, present=2, bad_source=1, failed=1)

    def test_a_failure_that_passes_moves_no_copy(self):
        """A block belongs on the first servers of its order, also when one of them fails once."""
        daemons = [self.start([self.dir.make(f"v{i}")]) for i in range(2)]
        proxy = FaultProxy(*daemons[0].address)
        self.addCleanup(proxy.close)
        proxy.rules({"fault": "status", "status": 503, "code": "Busy", "method": "PUT", "count": 3})
        a = self.dir.make("a")
        blocks = self.fill(a, 20, 100)
        words = ("--server", proxy.endpoint, *self.servers(daemons[1:]), *self.secrets)
        self.assert_counts(self.replicate(f"dir:{a}", "cluster", *words), copied=len(blocks))
        self.assertEqual(proxy.fired(), [3])
        front = types.SimpleNamespace(address=("127.0.0.1", proxy.port))
        for name in blocks:
            first = daemons[0] if rank(name, [front, daemons[1]])[0] is front else daemons[1]
            self.assertEqual(self.holders(daemons, name), [first])

    def test_a_device_that_two_servers_share_holds_one_copy(self):
        shared = self.dir.make("shared")
        daemons = [self.start([shared]), self.start([shared]), self.start([self.dir.make("v1")])]
        a = self.dir.make("a")
        blocks = self.fill(a, 12, 1000)
        self.assert_counts(self.to_cluster(f"dir:{a}", daemons, 2), copied=len(blocks))
        self.assertEqual(keepctl.stored(shared), blocks)
        self.assertEqual(keepctl.stored(daemons[2].roots()[0]), blocks)
        self.assert_counts(self.to_cluster(f"dir:{a}", daemons, 2), present=len(blocks))
        done = self.to_cluster(f"dir:{a}", daemons, 3)
        self.assertEqual(done.code, 2, done)
        self.assertIn("can hold 2", done.stderr)

    def test_the_replication_of_a_mount_counts(self):
        twice = directory_volume(self.dir.make("v0"), Replication=2)
        daemons = [self.start([twice]), self.start([self.dir.make("v1")])]
        a = self.dir.make("a")
        blocks = self.fill(a, 12, 1000)
        self.assert_counts(self.to_cluster(f"dir:{a}", daemons, 2), copied=len(blocks))
        for name in blocks:
            first = rank(name, daemons)[0]
            self.assertEqual(self.holders(daemons, name), daemons[:1] if first is daemons[0] else daemons, name)
        self.assert_counts(self.to_cluster(f"dir:{a}", daemons, 2), present=len(blocks))

    def test_copies_of_another_class_do_not_count(self):
        hot = directory_volume(self.dir.make("hot"), StorageClasses={"hot": True, "default": False})
        plain = directory_volume(self.dir.make("plain"), StorageClasses={"default": True})
        daemon = self.start([plain, hot], StorageClasses={"default": {"Default": True}, "hot": {}})
        a = self.dir.make("a")
        blocks = self.fill(a, 30, 1000)
        self.assert_counts(self.to_cluster(f"dir:{a}", [daemon], 1), copied=len(blocks))
        have = count(self.dir.make("hot"))  # Without a class any mount takes a block.
        self.assertLess(have, len(blocks))
        self.assert_counts(self.to_cluster(f"dir:{a}", [daemon], 1, "--class", "hot"), copied=len(blocks) - have, present=have)
        self.assertEqual(keepctl.stored(self.dir.make("hot")), blocks)
        self.assert_counts(self.to_cluster(f"dir:{a}", [daemon], 1, "--class", "hot"), present=len(blocks))
        done = self.to_cluster(f"dir:{a}", [daemon], 1, "--class", "cold")
        self.assertEqual(done.code, 3, done)
        self.assertIn("offers cold", done.stderr)

    def test_a_cluster_that_may_not_be_written(self):
        read_only = directory_volume(self.dir.make("v0"), ReadOnly=True)
        daemon = self.start([read_only])
        a = self.dir.make("a")
        self.fill(a, 2, 1000)
        done = self.replicate(f"dir:{a}", self.place(daemon), *self.secrets)
        self.assertEqual(done.code, 3, done)
        self.assertIn("no mount that blocks may be stored on", done.stderr)


class Paused(ReplicateServerCase):
    """A server that is away is left out by itself; the others go on."""

    def run_until(self, root, *words):
        """A run that has copied some blocks, and lasts for seconds however fast the machine is."""
        running = keepctl.start(self.dir.path, "replicate", "--json", *words, "--digits", "0", "--bandwidth", "8MiB", *self.secrets)
        until(lambda: count(root) > 3, what="some blocks", interval=0.001)
        return running

    def test_a_destination_server_that_is_killed(self):
        ports = [stable_port()]
        ports += [stable_port(avoid=ports)]
        roots = [self.dir.make(f"v{i}") for i in range(3)]
        daemons = [self.start_at(ports[0], roots[0]), self.start_at(ports[1], roots[1]), self.start([roots[2]])]
        a = self.dir.make("a")
        blocks = self.fill(a, 200, 100_000)
        running = self.run_until(roots[0], f"dir:{a}", "cluster", *self.servers(daemons))
        daemons[0].kill()
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 0, stderr)
        self.assertEqual(stderr.count(b"is paused until it works again"), 1, stderr)
        summary = self.summary_of(stdout)
        self.assertEqual(summary["copied"], len(blocks))
        found = [keepctl.stored(r) for r in roots]
        for name, data in blocks.items():
            # Twice if the server was killed between storing it and responding.
            self.assertIn([f[name] for f in found if name in f], ([data], [data, data]), name)

    def test_a_source_server_that_is_killed_and_comes_back(self):
        port, roots = stable_port(), [self.dir.make(f"v{i}") for i in range(2)]
        blocks = self.fill(roots[0], 120, 100_000)
        on_both = self.fill(roots[1], 120, 100_000)
        for data in list(on_both.values())[:60]:
            keepctl.store(roots[0], data)
        away = self.start_at(port, roots[0])
        daemons = [away, self.start([roots[1]], check_log=False)]
        b = self.dir.make("b")
        running = self.run_until(b, "cluster", f"dir:{b}", *self.servers(daemons))
        away.kill()
        # The other server's blocks are copied meanwhile.
        until(lambda: set(on_both) <= set(keepctl.stored(b)), what="the blocks of the other server")
        self.start_at(port, roots[0])
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 0, stderr)
        self.assertIn(b"works again", stderr)
        summary = self.summary_of(stdout)
        self.assertEqual((summary["copied"], summary["gone"]), (len(blocks) + len(on_both), 0))
        self.assertEqual(keepctl.stored(b), blocks | on_both)


if __name__ == "__main__":
    main()
