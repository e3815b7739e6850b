"""Mapping templates of API Gateway."""

from __future__ import annotations

from typing import Any

import pytest

from cdk_rehearsal import UnsupportedTemplateError
from cdk_rehearsal.services.service_calls import template_scope
from cdk_rehearsal.services.velocity import Velocity

BODY = '{"id": "a b", "n": 3, "list": [{"k": 1}, {"k": 2}], "text": "it\'s \\"so\\"", "none": null}'


def rendered(source: str) -> str:
    params: dict[str, Any] = {"path": {"id": "7"}, "querystring": {"q": "x"}, "header": {"h": "y"}}
    context = {"requestId": "r", "identity": {"sourceIp": "198.51.100.7"}}
    return Velocity(source).render(template_scope(BODY, params, context, {"mood": "good"}))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("$input.body", BODY),
        ("$input.path('$.n') ${input.path('$.id')}!", "3 a b!"),
        ("$input.json('$.id') $input.json('$.list[0]')", '"a b" {"k":1}'),
        ("$input.params('id') $input.params('q') $input.params('h')", "7 x y"),
        ("$input.params().header.h|$input.params('nothing')", "y|"),
        ("$context.identity.sourceIp $stageVariables.mood", "198.51.100.7 good"),
        ("$util.urlEncode($input.path('$.id')) $util.urlDecode('a%20b')", "a+b a b"),
        ("$util.base64Encode('ab') $util.base64Decode('YWI=')", "YWI= ab"),
        ("$util.escapeJavaScript($input.path('$.text'))", 'it\\\'s \\"so\\"'),
        ("$util.parseJson('{\"a\": [1]}').a[0]", "1"),
        ("$unknown $!unknown $5 a#b", "$unknown  $5 a#b"),
        ("#set($x = $input.path('$.n') + 1)$x", "4"),
        ("#set($x = 'n')#set($y = \"<$x>\")$y", "<n>"),
        ("#if($input.path('$.n') > 2 && !$nothing)yes#{else}no#end", "yes"),
        ("#if($input.path('$.n') == 4)a#elseif($input.path('$.id') == 'a b')b#else c#end", "b"),
        (
            "#foreach($e in $input.path('$.list'))"
            "$foreach.index:$e.k#if($foreach.hasNext),#end#end",
            "0:1,1:2",
        ),
        ("#set($sum = 0)#foreach($e in [1, 2])#set($sum = $sum + $e)#end$sum", "3"),
        ("a ## a comment\nb", "a \nb"),
        ("$input.path('$.id').toUpperCase() $input.path('$.list').size()", "A B 2"),
        ("#set($context.requestOverride.header.x = 'y')$context.requestOverride.header.x", "y"),
    ],
)
def test_a_template_is_rendered(source: str, text: str) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html"""
    assert rendered(source) == text


@pytest.mark.parametrize(
    "source",
    ["#parse('x')", "#macro(m)#end", "#if($a)", "#foreach($e on $l)#end", "#set($x 1)", "a#end"],
)
def test_a_template_that_cannot_be_read_is_an_error(source: str) -> None:
    with pytest.raises(UnsupportedTemplateError, match="mapping template"):
        Velocity(source)
