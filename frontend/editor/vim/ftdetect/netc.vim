" Files of netc.
autocmd BufNewFile,BufRead *.net setfiletype netc
