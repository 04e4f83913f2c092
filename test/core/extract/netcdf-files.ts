import { gunzipSync } from "node:zlib";

const unpacked = (base64: string) => gunzipSync(Buffer.from(base64, "base64"));

/**
 * Made by netCDF 4.9.0's `ncgen -k 1` (2, 5, 7), of:
 *
 * netcdf tiny {
 * dimensions:
 *   time = UNLIMITED ;
 *   x = 3 ;
 * variables:
 *   double time(time) ;
 *     time:units = "days since 2000-01-01" ;
 *   float t(time, x) ;
 *     t:_FillValue = 1.e+20f ;
 *     t:valid_range = -5s, 40s ;
 *     t:long_name = "Température" ;
 *   byte flag ;
 *   char word(x) ;
 *   :title = "Tiny" ;
 *   :numbers = 1, 2, 3 ;
 *   :empty = "" ;
 * data:
 *  time = 0, 1 ;
 *  t = 1, 2, 3, 4, 5, 6 ;
 * }
 */
export const TINY = {
  classic: unpacked(
    "H4sIAAAAAAAC/1VPPU/DMBA9h4aPkpW9YxekwB9oJFB/QdU1mMaNLDkuchxotvJPOnQoAxI/AYm/w8DOQM/1WQmnXJ71/N6d3939lAFAhD0kHFhZCfDF1h5PsBPC2EqrSHDUz6RuEc90Uz0KUzt+QNow++gT1ZNtOx+jHZekD3sDn9A5brS0dee7Knhbj2qpF2J0m6bpdXqDn78/xT5H2955becBmhUyDPOpVGrOVeODxO7+4X397d7zzJUscsN1KUL26O8XxogXaqXLXPOqlz+ZYbCvN8NtYwTNwj3sw2VaKl7C/2I+L9s6fFmZgjjW00Sk2b1i9c2TDUCGmOFv8uO5zHE4LfsEOABIkoxB0AEAAA==",
  ),
  "64-bit offset": unpacked(
    "H4sIAAAAAAAC/3N2cWNiYGAAYS4ozVKSmZvKAAGMFRCaGYh5oDRrSWZJDlQBWH1IZl4lkGbPK81NSi0qBomzQNUyQtWA9aXmFpRUIvQxQu3ghqqH2QsT54GyWUvzMkuKEfpEUxIrixWKM/OSUxWMDAwMdA0MgQgizwbEHFCn7wARJQh9DFDzYP7ginfLzMkJS8wphXiGFSSfsLbiDchNZYk5mSnxRYl56akw/zP9/82gAaQ5c/Lz0uPzEnORwoAnBOi5wyuLEktKi1KhZvFArTwA8ltaTmI6AypghPobxNwAYpfnF6VAxRmR1DEhqdvSCATIhtg3MDA4AGkHIGH/ASLmABJbAMRAmwHcI0pI4AEAAA==",
  ),
  cdf5: unpacked(
    "H4sIAAAAAAAC/3N2cWNlgAAmIOZCYoMAS0lmbioDKmCsQLCZgZgHiQ0CrCWZJTmpaOaEZOZVQtnseaW5SalFxWBxJL2MUPVwc1JzC0oqUc1hhNLcMHOxuJMRya08aGKspXmZJcWoZoqmJFYWKxRn5iWnKhgZGBjoGhgCEUSODaqGA6olAWZeCcIOJvTwwRImXPFumTk5YYk5pRBXwsKcMWFtxRuYn8oSczJT4osS89JTkfUy/f/NoAFlc+bk56XH5yXmooUvTwgwsA6vLEosKS1KRTIf6g6mDFg4peUkpjNgB4yoYcoUAeOX5xeloKlhRNPLhKY3phEIkBXYNzAwOABpByBh/wEi5gASWwDEBxgYALRAgY6IAgAA",
  ),
  "netCDF-4 classic model": unpacked(
    "H4sIAAAAAAAC/+1ZXWgcVRS+M7ObTDfTdm23pMZI1rZQNXXZNFEsJO6mm80mZLtpsyGFKq6T7CQZ2J0tu5PYgGj9oaAvlgiKBVtBXxTjm6DgT6VvPvjkgxVEfeiL+CBiIK0Pcc79mdmdTWgCVmg5X3dzOufee+75vTN75vWRoeGdoY6QrKpEYJ0jnGDXcc6v7T+8f3xkaELe2SbJByhLCfrW+BGSiQTj4TD8zctsdkZs1eJuSrRHqECiOf8ChBSsmd5Cza6aMzYJO7oF6KQoAQkgUesCqjgSVBizTbtkkL2ETYRJk6a1pA3A/xVnikYihFgL5WmjWmuUJ0mSwlUQVOIi4FrrBOruY5TP2kt0HzGJPCh9vszcQiQpAhyQKfsco0RgxX3RBGGOTpK+NtK37mwR3AUjSrcXgMsZ5q5LXMgK5+/rpGorLZu6WxtkdkSYwYWcYc8UZ/tSlUq1aFq6bTQbL9UZ7caiu8G5qexgPk+NDnOjh0ZPpHP50fFcIZ8azKa5Jwg5/eoHH46nRsaEpsFNNeUJwTQhCdKgxYtf3oiCGDapo4ONvSW062JRDTLtcoMn0lS5IFfONssGNQHitounE/fEkFk2i00JRaXGgefavGCZdo2K3cfFFvWlWrRmWjNG9Gg8Hn8s3uN8HP6p1ambzfH35xSP/0Nd7sbtKml/CdSmJaKEmLEr3NhlX8w39yRYSrYTLLbRMnf9fF3M5a06jIZpF2nCL2M3n4bAtbTTYAYEPwAxyfAUY/u38Nrvr1v++9rcYViunWH5549wUtT2vFmLOh89ahl2amg4WnTEWzWzYkWnF+yoVbG9oUW9aurTJSMWFegle57t+NgN2SEaMtkrWcVfuqRe77d3sKvXODcYYuULtv5xbuU5lZquyMrVQ15KK/xg2kI009uuYKG3XOdJydX3OPfz12Io1Biy67mTV7xa09TGgmyJsEAK2ZJ9K+Ctfe+nZCuNV5LFq81RGZQeNkulKb20YDgHXnPCb3TqgOe0YywDNWb6ol4yi4Wqbs0Z1GSmQnhDk/9Zf9it+BBLmlLFmitYepndFTSROc4Bfu2jqm4vVI0L7xz/zM2CgBCnaKAUbMh0U0mwlUb4Ubh+Wd1D4yOJeLnH5hfkbsa1T25972XB6R2+LODlLCohMFvS50irtzzzTfvqFs5AFRwpbp71biV+tyq+40++k7c8r1gSDzDOGWFYbPuunP7hVN5z5cFOxi37XCmqKPC8o+eYd+8nn1568zosFw8MzfWjPcPuVLudYojUH+/Z0fwkuZ+f/O00d8mG5QIGd4Q8Xv01eP7b3gtfZVLjWfbo1ugsoao4zeVN+IqfzxmBTfgCF3cTBAKBQCAQCAQCgUAgEP8ToAeh7qW/5GX5YqfXQYAf7loJ2u3QgohDC2IiPZyeSOdSadaCeEJmXYOibus1w/Z6EW6blqi368nUtxkB8b+7f6Uq+RpFGh+HbotC3uX9mzfEsqk756BE5cdXaPMzy5qfW2/HbNR/Eu0XMPvn7OpvVPILotHzX3nZ3wgSXhaa1DeiAMaNgxbt5/M2sKvxOdG2gX51gL42UNlrg9TJauWsUbVNg70+OcC3WzSqoNPA0SMW7dAN9MWOxeJH5ouzjw/0xHrisSf7//quf3IinZYcdfxdPtGF8mPN36DjlqlYwAgEAoFA3LNgzwvNbwe126xbe4o/vvgexfwIJBqvxTz3TSiGAIFAIBAIBOIuxJ/8Ke9yBilSpEiRIkWKFClSpEiRIkV6L9Hz8Js/6Xyc73nn+77zvZr8F3sKzXMQPwAA",
  ),
} as const;

/**
 * Made by netCDF 4.9.0's `ncgen -k nc4`, of:
 *
 * netcdf groups {
 * types:
 *   byte enum cloud { clear = 0, cover = 1 } ;
 * dimensions:
 *   time = UNLIMITED ;
 *   x = 3 ;
 * variables:
 *   uint64 time(time) ;
 *   string name(x) ;
 *   cloud sky(time) ;
 *   int y(x) ;
 *     y:_DeflateLevel = 5 ;
 *     y:_Shuffle = "true" ;
 *     y:big = 9223372036854775807LL ;
 *     string y:words = "a", "bb" ;
 *   :title = "Groups" ;
 * group: forecast {
 *   dimensions:
 *   z = 2 ;
 *   variables:
 *   double v(time, z) ;
 *     v:units = "m" ;
 *   :model = "M" ;
 *   data:
 *    v = 1, 2, 3, 4 ;
 *   }
 * }
 */
export const GROUPS = unpacked(
  "H4sIAAAAAAAC/+1aW0wcVRg+M7MzjNulrIBdboEp2qaBut1SMNSUAi7LRbkYQJsS0zrsDmXsXurOsKXaWHwx0USjffGhiRh5MDWaGKLRJ02IMfHBh/pgmrRPRh+VGm1MjLbOuc1tWVkSaGI8Hyyzc+bM+f//+/9zZvc7vDo8MFgZbAjysgwo7hI0tOPzGGnnr3yoTgwPTPKhT/hW1CJU+G7xI8gDDl4Ph+HfNgH3jlNLPD5IjfAvF+BIszyXy2tJ1TBjpOWBJhCA5viShrCBddL/EDVQARycWvziPeS+UviSP+t+7RdagdhtOQNvD8v4aLkBkmlNzYNkrqDlrcbry8mCL36+zPhpAFzJnqEmNCCQLLNW10wupaVBDcC+QDNjUi1micbDvfBXE+Gv1ssfV+hrJm8lJ/7Oj9viE/HhJ0J7PZZM3UxryJJELA3lcwvnjKNn/r6Joq0EHIcM8BzH+WtECEEHw4gtiD4g7oYtQjs8v+PJToak/zzwZlUqTUo/drUWhKwXOD2umcnUXGc8l8un9KxqagZKF6ZEQQ7aHLgyH2qH53bE8dH+qSkUcZhEPDAylhifGpkYPz0V7x9NABAEHrz16HINpE6q86ZATKZzC6l1coajvEWu9gKPJ5/fXpqBQ8BOAbDagq+tUA9boCMCELGH4/1jCeSgSBw09YyGwhCsn90WGwGHjQE9o6e8PDie37jYcKA4iyQRwD7WQi/v39tiDxGRQeQSdAAVsBDEsS014P6XfRkUS2ew3VNsm1OPDR0SsYF5Vwb5ckNHhO8GRdjXfe06ymIEZ5HSFIDsNvPuJK5IviRaOLL6jYnmzwyuJn+u+khE0/O6oVi/qpLVzPjAoJKyhs8aei6rzC6YSjZnOpcKal5XZ9NaVKE4AqpPNXxQbsrqrXoPEzbpoiXuQSlrC1PHZacO5Wp0L0fTEwPlLrDbMBU5m979pI5mqIs1YGO0XD2xSGeNhTrcepwubiSRdD4GsmpGe1t0bn9MfO7hMtawVuja5uu/WIFXNnj1ZbkGPwB4OgrMAXevqHQqtbqxTCqVZ5Xp4tah+MQofkIXG3A9oe3j7Ky3DGl/labAW3PgR9JR9LXT6SaV6F9Ror9cov0+Xzt9NNrRVwEGBgYGBgYGBgYGBgYGhv8tHHHl8Xrccoxckfag7/cB+s1dMM5e+MElJz9/J7ZchkyF9WGXnCEGsYoSwOrB0i4kV/E8FBo5gFvhj2hLHHeJxGGQManCErg3YtUrhJh3aeSVRSxePXlgxWHyKQW3ZiiTRJ6n5HEXjtc595qRfb8hWbELy4oB7POsfgb5SGX1jXwk0V4KncDqqGTdaN163orS2FAahIP4FR3OJZsItF12+gx/Wv068m8U+1dljVjr1m1HR6amQT2xFCE3l6KUjgyp//3F8Boc2S9Khkh/yKYA8kTJeY0S9vTOzYZvo2t/bH+ssJK/f8O4tlGsVK8KpbG2XwVi0OJkYjAxmRiPJ7DFR3hsMaWaqqGZjmlbWgbyZgVNt4ToefLk6k9o+hcpmQLJD2RB2DYWYPUfu9n4NeL3IrSwndH6q9qtAkO4ZxzEgzd6f8GrV7dr9fKPUu6+SJqsUJfLX6G2ui+ys7sOHVvbYcH8vPnV7Z8xh3Mc9xDijS/mkEbs41TptZe2zl2gExade+cQ450hOYKLU1hTnJLiST1QmoXSNCe2/CDw+0/fww1a1ybiQlY3Dc8GbSb0DKaw/Pnyb2ux7DuHCvdnH6kvbThl4QiwH5xY4o5OLPdHAPeyQrH+6/tX0CYbeejZGwWLVNqHOeFQpcm40uJP5nPntLypa5jQVmKuoOWhTz0dB7MobT2d0aPR2MH51FxXz+Ho4Vi0u+O7rubpyUSCA8W7LeFN1vo/28hTxrdm+RFs955zPkJk9iGSgYGBgYGBgeE/hFv0P7z6yKc5cgz3/QNtbpIMGisAAA==",
);
