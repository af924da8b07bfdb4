" Colours for files of netc. Words that open a section or a declaration are words
" only there, and names everywhere else; so they are matched by their place.
if exists("b:current_syntax")
  finish
endif

syntax case match
syntax sync minlines=50

syntax keyword netcConditional if then else
syntax keyword netcRepeat repeat
syntax keyword netcOperatorWord and or not as except
syntax keyword netcBoolean true false
syntax keyword netcVariable training epoch step progress pi batch
syntax keyword netcSet weights biases scales parameters

" Sections, and the names that they define.
syntax match netcSection "^\s*\%(layer\|loss\|penalty\|init\|schedule\|optimizer\|net\)\ze\s\+\h" nextgroup=netcDefined skipwhite
syntax match netcSection "^\s*\%(const\|data\|variant\)\ze\s\+\h" nextgroup=netcDefined skipwhite
syntax match netcSection "^\s*import\ze\s*\""
syntax match netcSection "^\s*train\ze\s*{"
syntax match netcSection "\%(^\|[{;]\)\s*\zs\%(without\|limit\)\ze\s\+\h"
syntax match netcDefined "\h\w*" contained

" Declarations inside a section.
syntax match netcDeclare "\%(^\|[{;]\)\s*\zs\%(weight\|bias\|scale\|state\)\ze\s\+\h\w*\s*[:=]"
syntax match netcDeclare "\<class\ze\["
syntax match netcDeclare "\<prox\ze\s*("

syntax match netcCall "\<\h\w*\ze("
syntax match netcStage "\%(->\s*\)\@<=\h\w*\%(\.\h\w*\)*"
syntax match netcStageName "\%(\<as\s\+\)\@<=\h\w*"

syntax match netcNumber "\%(\<\d\+\%(\.\d\+\)\=\|\.\d\+\)\%([eE][+-]\=\d\+\)\="
syntax match netcOperator "->\|<-\|[-+*/@^<>=!']\|=="
syntax match netcRest "\.\."
syntax region netcString start=+"+ skip=+\\.+ end=+"+ oneline contains=netcEscape
syntax match netcEscape +\\["\\]+ contained
syntax match netcComment "#.*$" contains=netcTodo,@Spell
syntax keyword netcTodo TODO FIXME XXX contained

highlight default link netcConditional Conditional
highlight default link netcRepeat Repeat
highlight default link netcOperatorWord Operator
highlight default link netcBoolean Boolean
highlight default link netcVariable Identifier
highlight default link netcSet Constant
highlight default link netcSection Keyword
highlight default link netcDefined Function
highlight default link netcDeclare Type
highlight default link netcCall Function
highlight default link netcStage Function
highlight default link netcStageName Label
highlight default link netcNumber Number
highlight default link netcOperator Operator
highlight default link netcRest Special
highlight default link netcString String
highlight default link netcEscape SpecialChar
highlight default link netcComment Comment
highlight default link netcTodo Todo

let b:current_syntax = "netc"
