"""What the name servers should say of the sending domain, as a person would set it."""

from __future__ import annotations

import pytest

from newsletter.domain.findings import CheckError, DnsRecord, FindingState
from newsletter.operations.doctor import dns
from newsletter.operations.doctor.dns import DnsResolver
from newsletter.settings import SettingsError
from tests.fakes.dns import FakeDns

DOMAIN = "digest.example.org"
KEY = "k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQ"
WANTED = [
    DnsRecord("em1." + DOMAIN, "CNAME", "u1.wl.sendgrid.net"),
    DnsRecord("s1._domainkey." + DOMAIN, "CNAME", "s1.domainkey.u1.wl.sendgrid.net"),
    DnsRecord("s2._domainkey." + DOMAIN, "CNAME", "s2.domainkey.u1.wl.sendgrid.net"),
]


def zone(**names):
    """`ask` over a dict: `{(host, type): [value, ...]}`."""
    found = names["of"]
    return lambda host, kind: found.get((host, kind), [])


def by_name(found):
    return {one.check: one for one in found}


def test_a_record_that_stands_is_shown_and_one_that_lacks_is_spelled_out():
    lacking = dns.dmarc(zone(of={}), DOMAIN, "op@example.org")
    assert lacking.state is FindingState.FAIL
    assert lacking.records == (
        DnsRecord("_dmarc." + DOMAIN, "TXT", "v=DMARC1; p=none; rua=mailto:op@example.org"),
    )
    above = zone(of={("_dmarc.example.org", "TXT"): ["v=DMARC1;p=reject"]})
    stands = dns.dmarc(above, DOMAIN, "")
    assert (stands.state, "p=reject" in stands.said) == (FindingState.OK, True)


@pytest.mark.parametrize(
    "texts",
    [
        ["v=DMARC1; p=none", "v=DMARC1; p=reject"],
        ["v=DMARC1; rua=mailto:x@example.org"],
        ["v=DMARC1; p=maybe"],
        ["v=DMARC12; p=none"],
        ["google-site-verification=1"],
    ],
)
def test_a_dmarc_record_that_does_not_count_fails(texts):
    found = dns.dmarc(zone(of={("_dmarc." + DOMAIN, "TXT"): texts}), DOMAIN, "")
    assert found.state is FindingState.FAIL


@pytest.mark.parametrize(
    ("texts", "state"),
    [
        (["v=spf1 include:mail.example.net ~all"], FindingState.OK),
        (["V=SPF1 mx -all", "something else"], FindingState.OK),
        (["v=spf1 redirect=_spf.example.net"], FindingState.OK),
        (["v=spf1 a"], FindingState.WARN),
        (["v=spf1 +all"], FindingState.FAIL),
        (["v=spf1 all"], FindingState.FAIL),
        (["v=spf1 a ~all", "v=spf1 mx ~all"], FindingState.FAIL),
        (["v=spf10 a ~all"], FindingState.FAIL),
        ([], FindingState.FAIL),
    ],
)
def test_spf_of_a_server_of_our_own(texts, state):
    found = dns.spf_of_our_own(zone(of={(DOMAIN, "TXT"): texts}), DOMAIN, "mx.example.org")
    assert found.state is state
    if not texts:
        assert found.records == (DnsRecord(DOMAIN, "TXT", "v=spf1 a:mx.example.org ~all"),)


@pytest.mark.parametrize(
    ("server", "sends"),
    [
        ("192.0.2.7", "ip4:192.0.2.7"),
        ("2001:db8::7", "ip6:2001:db8::7"),
        ("127.0.0.1", "ip4:ADDRESS-OF-THIS-MACHINE"),
        ("localhost", "ip4:ADDRESS-OF-THIS-MACHINE"),
    ],
)
def test_spf_names_a_server_without_a_name_by_its_address(server, sends):
    """RFC 7208, 5.3: what stands behind `a:` is a domain."""
    [record] = dns.spf_of_our_own(zone(of={}), DOMAIN, server).records
    assert record.value == f"v=spf1 {sends} ~all"


def test_what_the_provider_wants_is_compared_record_by_record():
    standing = {(one.host, one.type): [one.value] for one in WANTED}
    assert {one.state for one in dns.by_provider(zone(of=standing), WANTED)} == {FindingState.OK}
    del standing[WANTED[2].host, "CNAME"]
    found = by_name(dns.by_provider(zone(of=standing), WANTED))
    assert found["spf"].state is FindingState.OK
    assert found["dkim"].state is FindingState.FAIL
    assert WANTED[2].host in found["dkim"].said
    assert WANTED[1].host not in found["dkim"].said
    assert found["dkim"].records == (WANTED[1]._replace(stands=True), WANTED[2])


def test_a_cname_that_a_name_server_flattened_still_counts():
    flat = {(one.host, "TXT"): [KEY] for one in WANTED[1:]}
    found = by_name(dns.by_provider(zone(of=flat), WANTED))
    assert found["dkim"].state is FindingState.OK
    assert found["spf"].state is FindingState.FAIL


def test_without_the_providers_word_the_usual_names_are_looked_at():
    keyed = {(one.host, "CNAME"): [one.value] for one in WANTED[1:]}
    found = by_name(dns.by_selectors(zone(of=keyed), DOMAIN, "no right"))
    assert (found["spf"].state, found["dkim"].state) == (FindingState.WARN, FindingState.OK)
    found = by_name(dns.by_selectors(zone(of={}), DOMAIN, "no right"))
    assert found["dkim"].state is FindingState.FAIL
    assert [one.host for one in found["dkim"].records] == [one.host for one in WANTED[1:]]


def reply_mx(servers, host="in.example.org", **reading):
    given = {"by_sendgrid": True, "by_imap": False, **reading}
    return dns.reply_mx(zone(of={(host, "MX"): servers}), host, "example.org", **given)


def test_replies_reach_whoever_reads_them():
    assert reply_mx(["10 mx.sendgrid.net"]).state is FindingState.OK
    wanted = DnsRecord("in.example.org", "MX", "10 mx.sendgrid.net")
    for servers in ([], ["10 mail.example.org"], ["10 mx.sendgrid.net", "20 mail.example.org"]):
        assert (reply_mx(servers).state, reply_mx(servers).records) == (
            FindingState.FAIL,
            (wanted,),
        )
    assert (
        reply_mx(["5 mail.example.org"], by_sendgrid=False, by_imap=True).state is FindingState.OK
    )
    assert reply_mx([], by_sendgrid=False, by_imap=True).state is FindingState.FAIL
    assert reply_mx(["5 mail.example.org"], by_sendgrid=False).state is FindingState.WARN


def test_nobody_is_told_to_give_his_own_mail_to_sendgrid():
    found = reply_mx(["10 mail.example.org"], host="example.org")
    assert found.state is FindingState.FAIL
    assert "NEWSLETTER_REPLY_DOMAIN=in.example.org" in found.fix
    assert [record.host for record in found.records] == ["in.example.org"]
    unread = reply_mx(["10 mail.example.org"], host="example.org", by_sendgrid=False)
    assert unread.records == ()


def test_a_free_mailbox_is_no_sending_domain():
    assert dns.sender("gmail.com").state is FindingState.FAIL
    assert dns.sender("yahoo.co.uk").state is FindingState.FAIL
    assert dns.sender("mail.example.org") is None


def test_a_name_server_is_asked_over_the_wire():
    long = "x" * 200
    given = {
        ("example.org", "TXT"): [f'"v=spf1 " "{long} ~all"', '"other"'],
        ("example.org", "MX"): ["10 MX.Example.org."],
        ("s1._domainkey.example.org", "CNAME"): ["K.example.net."],
        ("k.example.net", "TXT"): ['"k=rsa; p=abc"'],
    }
    with FakeDns(given) as names:
        ask = DnsResolver(names.where).ask
        assert ask("example.org", "TXT") == ["other", f"v=spf1 {long} ~all"]
        assert ask("example.org", "MX") == ["10 mx.example.org"]
        assert ask("s1._domainkey.example.org", "CNAME") == ["k.example.net"]
        assert ask("s1._domainkey.example.org", "TXT") == ["k=rsa; p=abc"]
        assert ask("example.org", "CNAME") == []
        assert ask("nowhere.example.org", "TXT") == []


def test_a_name_server_that_is_silent_or_broken_is_no_empty_answer():
    with FakeDns({("example.org", "MX"): ["10 a."]}) as names:
        names.silent.add("silent.example.org")
        names.broken.add("broken.example.org")
        asking = DnsResolver(names.where, seconds=0.2)
        assert asking._resolver().lifetime == 0.2
        for host in ("silent.example.org", "broken.example.org", "a..b", f"{'x' * 70}.org"):
            with pytest.raises(CheckError, match="did not answer"):
                asking.ask(host, "TXT")


def test_a_name_server_by_its_address_alone():
    assert DnsResolver("2620:fe::fe")._resolver().nameservers == ["2620:fe::fe"]
    chosen = DnsResolver("9.9.9.9:5353")._resolver()
    assert (chosen.nameservers, chosen.port) == (["9.9.9.9"], 5353)
    for wrong in ("9.9.9", "9.9.9.9:x", "fe80:::1"):
        with pytest.raises(SettingsError, match="IP address"):
            DnsResolver(wrong)._resolver()
