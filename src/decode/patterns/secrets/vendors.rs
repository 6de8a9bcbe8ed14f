//! Published formats of keys and tokens, vendor by vendor.
//!
//! Sources: each vendor's own documentation, and the rule sets of Gitleaks and Betterleaks (MIT),
//! which were read for prefixes and lengths. `docs/patterns.md` compares.

use std::sync::LazyLock;

use super::prefixed::{
    Format, Formats, alphanumeric, any, any_base64, at_least, base32, base64, base64url, dotted,
    exactly, hex, mixed, path, random_part, with_digit, word,
};

/// Clouds, services and package registries.
pub(super) static CLOUD: LazyLock<Formats> = LazyLock::new(|| {
    let mut formats = Vec::new();
    formats.extend(clouds());
    formats.extend(chat_and_mail());
    formats.extend(tools());
    formats.extend(payment_and_shops());
    formats.extend(models());
    formats.extend(registries_and_builds());
    formats.extend(data_and_hosting());
    formats.extend(webhooks());
    Formats::new(formats)
});

/// Git services.
pub(super) static GIT: LazyLock<Formats> = LazyLock::new(|| {
    Formats::new(vec![
        Format {
            most: 255,
            ..at_least("github_pat_", word, 82, |body| body[22] == b'_')
        },
        // GitLab: "token prefixes" of its security documentation.
        at_least("glpat-", dotted, 20, gitlab),
        at_least("gldt-", dotted, 20, gitlab),
        at_least("glrt-", dotted, 20, gitlab),
        at_least("glrtr-", dotted, 20, gitlab),
        at_least("glcbt-", dotted, 20, gitlab),
        at_least("glptt-", dotted, 20, gitlab),
        at_least("glft-", dotted, 20, gitlab),
        at_least("glimt-", dotted, 20, gitlab),
        at_least("glagent-", dotted, 20, gitlab),
        at_least("gloas-", dotted, 20, gitlab),
        at_least("glsoat-", dotted, 20, gitlab),
        at_least("glffct-", dotted, 20, gitlab),
        at_least("glwt-", dotted, 20, gitlab),
        at_least("GR1348941", base64url, 20, any),
        Format {
            with_prefix: false,
            ..at_least("_gitlab_session=", hex, 32, any)
        },
        // Bitbucket.
        at_least("ATBB", alphanumeric, 28, with_digit),
        at_least("ATCTT3", dotted, 100, any),
        at_least("BBDC-", base64, 32, any),
    ])
});

fn gitlab(body: &[u8]) -> bool {
    with_digit(body) || body.len() == 20
}

fn clouds() -> Vec<Format> {
    vec![
        // AWS: IAM user guide, "unique identifiers"; session tokens; keys of Bedrock.
        exactly("AKIA", base32, 16, any),
        exactly("ASIA", base32, 16, any),
        exactly("ABIA", base32, 16, any),
        exactly("ACCA", base32, 16, any),
        at_least("ABSK", base64, 100, any),
        at_least("bedrock-api-key-", any_base64, 20, any),
        at_least("FwoGZXIvYXdz", any_base64, 60, any),
        at_least("IQoJb3JpZ2lu", any_base64, 60, any),
        at_least("FQoGZXIvYXdz", any_base64, 60, any),
        at_least("FQoDYXdz", any_base64, 60, any),
        at_least("AQoDYXdz", any_base64, 60, any),
        // Google.
        exactly("AIza", base64url, 35, any),
        at_least("AQ.Ab8RN6", base64url, 40, any),
        at_least("ya29.", dotted, 20, with_digit),
        at_least("GOCSPX-", base64url, 24, any),
        at_least("1//0", base64url, 40, mixed),
        // Alibaba, Tencent, DigitalOcean, Yandex, IBM, Oracle.
        at_least("LTAI", alphanumeric, 12, mixed),
        at_least("STS.", alphanumeric, 20, mixed),
        exactly("AKID", alphanumeric, 32, mixed),
        at_least("dop_v1_", hex, 60, any),
        at_least("doo_v1_", hex, 60, any),
        at_least("dor_v1_", hex, 60, any),
        at_least("AQVN", base64url, 35, mixed),
        at_least("t1.", dotted, 90, mixed),
        at_least("y0_", base64url, 50, mixed),
        at_least("EXO", alphanumeric, 24, mixed),
        at_least("ucat_", alphanumeric, 24, with_digit),
        // Hosting and infrastructure.
        at_least("vcp_", base64url, 24, with_digit),
        at_least("vck_", base64url, 24, with_digit),
        at_least("vci_", base64url, 24, with_digit),
        at_least("vca_", base64url, 24, with_digit),
        at_least("vcr_", base64url, 24, with_digit),
        at_least("nfp_", alphanumeric, 36, any),
        at_least("rnd_", alphanumeric, 28, with_digit),
        at_least("fo1_", base64url, 43, any),
        at_least("fm1a_", any_base64, 80, any),
        at_least("fm1r_", any_base64, 80, any),
        at_least("fm2_", any_base64, 80, any),
        at_least("HRKU-", base64url, 36, any),
        at_least("tk-us-", base64url, 48, any),
        at_least("v1.0-", |byte| hex(byte) || byte == b'-', 160, any),
        at_least("cfut_", alphanumeric, 40, any),
        at_least("cfat_", alphanumeric, 40, any),
        at_least("cfk_", alphanumeric, 40, any),
        at_least("hvs.", base64url, 24, any),
        at_least("hvb.", base64url, 24, any),
        at_least("hvr.", base64url, 24, any),
        at_least("pul-", hex, 40, any),
        at_least("ico-", alphanumeric, 32, with_digit),
        at_least("tskey-", base64url, 20, random_part),
        at_least("sha256~", base64url, 43, any),
        at_least("SWMTKN-1-", base64url, 50, any),
        at_least("SWMKEY-1-", base64, 40, any),
        at_least("dp.pt.", alphanumeric, 40, any),
        at_least("dp.st.", dotted, 40, any),
        at_least("dp.sa.", dotted, 40, any),
        at_least("dp.ct.", dotted, 40, any),
        at_least("dp.scim.", dotted, 40, any),
        at_least("dnkey-", base64url, 60, any),
        at_least("os_v2_", word, 60, any),
        at_least("ddp_", alphanumeric, 36, any),
    ]
}

fn chat_and_mail() -> Vec<Format> {
    vec![
        // Slack.
        at_least("xoxa-", base64url, 10, with_digit),
        at_least("xoxb-", base64url, 10, with_digit),
        at_least("xoxc-", base64url, 10, with_digit),
        at_least(
            "xoxd-",
            |byte| any_base64(byte) || byte == b'%',
            40,
            with_digit,
        ),
        at_least("xoxe-", base64url, 10, with_digit),
        at_least("xoxo-", base64url, 10, with_digit),
        at_least("xoxp-", base64url, 10, with_digit),
        at_least("xoxr-", base64url, 10, with_digit),
        at_least("xoxs-", base64url, 10, with_digit),
        at_least("xoxe.xox", base64url, 40, with_digit),
        at_least("xapp-", base64url, 10, with_digit),
        // SendGrid, Brevo, Mailgun, MailerSend, Resend, Twilio, Meta.
        at_least("SG.", dotted, 60, with_digit),
        at_least("xkeysib-", base64url, 60, any),
        at_least("xsmtpsib-", base64url, 60, any),
        exactly("key-", hex, 32, with_digit),
        at_least("mlsn.", alphanumeric, 30, any),
        exactly("re_", word, 33, |body| {
            body[8] == b'_' && !body[9..].contains(&b'_') && mixed(body)
        }),
        exactly("SK", hex, 32, |body| {
            with_digit(body) && !body.iter().any(u8::is_ascii_uppercase)
        }),
        at_least("EAA", alphanumeric, 80, mixed),
    ]
}

/// Atlassian, Linear, Notion, Figma, Typeform, Postman, Sentry, New Relic and the like.
fn tools() -> Vec<Format> {
    vec![
        at_least("ATAT", dotted, 90, any),
        at_least("ATSTT3", dotted, 100, any),
        at_least("lin_api_", alphanumeric, 32, any),
        at_least("lin_oauth_", alphanumeric, 32, any),
        at_least("ntn_", alphanumeric, 40, any),
        exactly("secret_", alphanumeric, 43, mixed),
        at_least("figd_", base64url, 36, any),
        at_least("figo_", base64url, 36, any),
        at_least("tfp_", dotted, 40, any),
        at_least("PMAK-", base64url, 40, any),
        at_least("sntrys_", any_base64, 60, any),
        at_least("sntryu_", hex, 60, any),
        at_least("NRAK-", alphanumeric, 24, any),
        at_least("NRII-", base64url, 24, any),
        at_least("NRJS-", hex, 19, any),
        at_least("NRRA-", hex, 40, any),
        at_least("glsa_", word, 40, any),
        at_least("glc_", base64, 40, any),
        at_least("eyJrIjoi", base64, 40, any),
        at_least("eyJtaXJv", base64url, 30, any),
        at_least("phx_", base64url, 40, any),
        at_least("dt0c01.", dotted, 80, any),
        at_least("dt0s01.", dotted, 80, any),
        at_least("dt0s16.", dotted, 80, any),
        at_least("CFPAT-", base64url, 40, any),
        at_least("rdme_", alphanumeric, 60, any),
        at_least("fio-u-", dotted, 60, any),
        at_least(
            "API-",
            |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            26,
            |body| body.len() == 26 && with_digit(body),
        ),
        exactly("pat", dotted, 79, |body| {
            body[14] == b'.' && body[15..].iter().all(u8::is_ascii_hexdigit)
        }),
        at_least("pat.", dotted, 60, random_part),
        at_least("sat.", dotted, 60, random_part),
        at_least("sl.", dotted, 120, random_part),
        at_least("waka_", |byte| hex(byte) || byte == b'-', 36, any),
        at_least("rootly_", hex, 60, any),
        at_least("vtwn_", base64url, 20, with_digit),
        at_least("pina_", base64url, 20, mixed),
        at_least("unkey_", alphanumeric, 20, with_digit),
    ]
}

fn payment_and_shops() -> Vec<Format> {
    vec![
        // Stripe and those that took over its form.
        at_least("sk_live_", any_base64, 10, any),
        at_least("sk_test_", any_base64, 10, any),
        at_least("sk_prod_", any_base64, 10, any),
        at_least("rk_live_", any_base64, 10, any),
        at_least("rk_test_", any_base64, 10, any),
        at_least("rk_prod_", any_base64, 10, any),
        at_least("whsec_", base64, 24, with_digit),
        at_least("sk_", base64url, 24, random_part),
        // Shopify, Square, PayPal, Plaid, Shippo, Lob, EasyPost, Flutterwave, Razorpay.
        at_least("shpat_", hex, 32, any),
        at_least("shpca_", hex, 32, any),
        at_least("shppa_", hex, 32, any),
        at_least("shpss_", hex, 32, any),
        at_least("shptka_", hex, 32, any),
        at_least("sq0atp-", base64url, 20, any),
        at_least("sq0csp-", base64url, 40, any),
        at_least("EAAA", base64url, 56, mixed),
        at_least(
            "access_token$production$",
            |byte| alphanumeric(byte) || byte == b'$',
            40,
            any,
        ),
        at_least(
            "access_token$sandbox$",
            |byte| alphanumeric(byte) || byte == b'$',
            40,
            any,
        ),
        at_least("access-production-", base64url, 36, random_part),
        at_least("access-sandbox-", base64url, 36, random_part),
        at_least("access-development-", base64url, 36, random_part),
        at_least("shippo_live_", hex, 40, any),
        at_least("shippo_test_", hex, 40, any),
        at_least("live_", base64url, 32, random_part),
        at_least("EZAK", alphanumeric, 54, any),
        at_least("EZTK", alphanumeric, 54, any),
        at_least("FLWSECK-", base64url, 12, with_digit),
        at_least("FLWSECK_TEST-", base64url, 12, with_digit),
        at_least("rzp_live_", alphanumeric, 14, any),
        at_least("rzp_test_", alphanumeric, 14, any),
        at_least("duffel_live_", dotted, 40, any),
        at_least("duffel_test_", dotted, 40, any),
        at_least("xnd_production_", alphanumeric, 40, any),
        at_least("xnd_development_", alphanumeric, 40, any),
        at_least(
            "$aact_",
            |byte| base64url(byte) || matches!(byte, b':' | b'='),
            24,
            with_digit,
        ),
        at_least("pdl_live_apikey_", word, 40, any),
        at_least("pdl_sdbx_apikey_", word, 40, any),
        exactly("cs_", hex, 40, with_digit),
        exactly("ck_", hex, 40, with_digit),
        at_least("ramp_sec_", alphanumeric, 40, any),
        at_least("polar_", base64url, 20, random_part),
    ]
}

fn models() -> Vec<Format> {
    vec![
        // OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse and others.
        at_least("sk-", base64url, 20, random_part),
        at_least("csk-", alphanumeric, 40, any),
        at_least("gsk_", alphanumeric, 40, any),
        at_least("xai-", base64url, 60, any),
        at_least("pplx-", alphanumeric, 40, any),
        at_least("nvapi-", base64url, 50, any),
        at_least("r8_", alphanumeric, 36, any),
        at_least("hf_", alphanumeric, 30, any),
        at_least("api_org_", alphanumeric, 30, any),
        at_least("tgp_v1_", base64url, 40, any),
        at_least("tvly-", base64url, 24, random_part),
        exactly("fc-", hex, 32, with_digit),
        at_least("jina_", alphanumeric, 40, any),
        at_least("lsv2_pt_", word, 40, any),
        at_least("lsv2_sk_", word, 40, any),
        at_least("llx-", alphanumeric, 40, any),
        at_least("pcsk_", word, 50, any),
        at_least("apify_api_", alphanumeric, 30, any),
        at_least("wandb_v1_", word, 60, any),
        at_least("rpa_", alphanumeric, 30, with_digit),
        at_least("lip_", word, 16, mixed),
        at_least("apk_", |byte| base64(byte) || byte == b'_', 80, any),
        at_least("cog_", alphanumeric, 52, any),
        at_least("lbx_", base64url, 40, any),
        at_least("rma_", base64url, 40, any),
    ]
}

fn registries_and_builds() -> Vec<Format> {
    vec![
        at_least("npm_", alphanumeric, 36, any),
        at_least("pypi-", base64url, 50, any),
        at_least("rubygems_", hex, 48, any),
        exactly("cio", alphanumeric, 32, mixed),
        at_least("CLOJARS_", alphanumeric, 60, any),
        exactly("oy2", alphanumeric, 43, |body| {
            with_digit(body) && !body.iter().any(u8::is_ascii_uppercase)
        }),
        at_least("dckr_pat_", base64url, 27, any),
        at_least("dckr_oat_", base64url, 27, any),
        at_least("CCIPAT_", word, 40, any),
        at_least("CCIPRJ_", word, 40, any),
        at_least("bkua_", alphanumeric, 40, any),
        at_least("bkaa_", base64url, 40, any),
        at_least("bkaj_", base64url, 40, any),
        at_least("bkpat_", base64url, 40, any),
        at_least("bkct_", base64url, 40, any),
        at_least("AKCp", alphanumeric, 60, any),
        at_least("cmVmd", alphanumeric, 55, any),
        at_least("pnu_", alphanumeric, 36, any),
        at_least("pnb_", alphanumeric, 36, any),
        at_least("sgp_", word, 40, any),
        at_least("squ_", alphanumeric, 40, any),
        at_least("sqp_", alphanumeric, 40, any),
        at_least("sqa_", alphanumeric, 40, any),
        at_least("mergify_application_key_", base64url, 40, any),
        at_least("zpka_", word, 40, any),
        at_least("dvc_server_", word, 8, with_digit),
        at_least("csa_", alphanumeric, 36, with_digit),
        at_least("AIK_SECRET_", alphanumeric, 40, any),
        at_least("AIK_CI_", alphanumeric, 20, any),
        at_least("ops_ey", any_base64, 100, any),
        at_least(
            "A3-",
            |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-',
            35,
            |body| body.split(|byte| *byte == b'-').count() >= 5 && body.get(6) == Some(&b'-'),
        ),
    ]
}

fn data_and_hosting() -> Vec<Format> {
    vec![
        at_least(
            "dapi",
            |byte| hex(byte) || byte == b'-',
            32,
            |body| body[..32].iter().all(u8::is_ascii_hexdigit) && body.len() <= 34,
        ),
        at_least("pscale_tkn_", dotted, 32, any),
        at_least("pscale_oauth_", dotted, 32, any),
        at_least("pscale_pw_", dotted, 32, any),
        at_least("sbp_", base64url, 36, any),
        at_least("sb_secret_", base64url, 24, any),
        at_least("napi_", alphanumeric, 40, any),
        at_least("mdb_sa_sk_", base64url, 40, any),
        at_least(
            "AstraCS:",
            |byte| alphanumeric(byte) || byte == b':',
            20,
            any,
        ),
        at_least("CCDB1_", word, 50, any),
        at_least("essu_", any_base64, 40, any),
        at_least(
            "configcat-sdk-1/",
            |byte| base64url(byte) || byte == b'/',
            40,
            any,
        ),
        at_least("ion_", alphanumeric, 42, any),
        at_least("nyk_", alphanumeric, 60, any),
        at_least("cnvca", base64url, 51, mixed),
        at_least("p8e-", base64url, 32, with_digit),
        at_least("4b1d", alphanumeric, 38, mixed),
        at_least("s-s4t2", base64url, 60, any),
        at_least("samsara_api_", alphanumeric, 26, any),
        at_least("sm_aat_", alphanumeric, 16, any),
        at_least("sm_pat_", alphanumeric, 16, any),
        at_least("sm_sat_", alphanumeric, 16, any),
        at_least("tss_", base64url, 20, random_part),
        at_least("api_live.", base64url, 20, any),
        at_least("api_live_us.", base64url, 20, any),
        at_least("api_live_ca.", base64url, 20, any),
        at_least("persona_production_", base64url, 20, any),
        at_least("mercury_production_", word, 40, any),
        at_least("prf_", base64url, 20, random_part),
    ]
}

/// Addresses that let anyone post who knows them: their path is the secret.
fn webhooks() -> Vec<Format> {
    let webhook = |prefix, least| Format {
        with_prefix: false,
        ..at_least(prefix, path, least, with_digit)
    };
    vec![
        webhook("hooks.slack.com/services/", 20),
        webhook("hooks.slack.com/workflows/", 20),
        webhook("hooks.slack.com/triggers/", 20),
        webhook("discord.com/api/webhooks/", 30),
        webhook("discordapp.com/api/webhooks/", 30),
        webhook("webhook.office.com/webhookb2/", 40),
        webhook("outlook.office.com/webhook/", 40),
        webhook("hooks.zapier.com/hooks/catch/", 10),
        webhook("chat.googleapis.com/v1/spaces/", 30),
        webhook("maker.ifttt.com/trigger/", 20),
    ]
}
